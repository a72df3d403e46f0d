// Signature Version 4 against what AWS has published: the example of its documentation (IAM ListUsers) and vectors of its test suite.
#include "target/sigv4.h"

#include <gtest/gtest.h>

#include "target/aws_keys.h"

namespace sallyport::target {
namespace {

constexpr std::int64_t kThen = 1'440'938'160'000'000'000;  // 2015-08-30T12:36:00Z
const AwsKeys kKeys{"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", ""};

SigningInput input(std::string method, std::string target) {
  return {std::move(method), "example.amazonaws.com", std::move(target), "service", "us-east-1", {}, "", kThen, false};
}

std::string signature(const SigningInput& of, const AwsKeys& keys = kKeys) {
  for (const auto& [name, value] : sign_v4(keys, of))
    if (name == "Authorization") return value.substr(value.find("Signature=") + 10);
  return "";
}

TEST(SigV4, TheExampleOfTheDocumentation) {
  auto list = input("GET", "/?Action=ListUsers&Version=2010-05-08");
  list.host = "iam.amazonaws.com";
  list.service = "iam";
  list.headers = {{"content-type", "application/x-www-form-urlencoded; charset=utf-8"}};
  const auto headers = sign_v4(kKeys, list);
  EXPECT_EQ(headers.back().second,
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, "
            "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7");
  EXPECT_EQ(headers[0], std::pair(std::string("X-Amz-Date"), std::string("20150830T123600Z")));
  const auto canonical = canonical_request(list, {{"content-type", "application/x-www-form-urlencoded; charset=utf-8"}, {"host", "iam.amazonaws.com"}, {"x-amz-date", "20150830T123600Z"}});
  EXPECT_EQ(hex(sha256(as_bytes(canonical))), "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59");
  EXPECT_EQ(string_to_sign(list, canonical),
            "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/iam/aws4_request\nf536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59");
}

TEST(SigV4, VectorsOfTheTestSuite) {
  const struct {
    const char *name, *method, *target, *signature;
  } kVectors[] = {
      {"get-vanilla", "GET", "/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
      {"get-relative", "GET", "/example/..", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
      {"get-slash", "GET", "//", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
      {"get-vanilla-empty-query-key", "GET", "/?Param1=value1", "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
      {"get-vanilla-query-order-key-case", "GET", "/?Param2=value2&Param1=value1", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
      {"get-utf8", "GET", "/\xe1\x88\xb4", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
      {"get-space", "GET", "/example space/", "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"},
      {"get-unreserved", "GET", "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
      {"post-vanilla", "POST", "/", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
  };
  for (const auto& one : kVectors) EXPECT_EQ(signature(input(one.method, one.target)), one.signature) << one.name;

  auto trimmed = input("GET", "/");
  trimmed.headers = {{"my-header1", " value1"}, {"my-header2", " \"a   b   c\""}};
  EXPECT_EQ(signature(trimmed), "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736") << "get-header-value-trim";

  auto form = input("POST", "/");
  form.headers = {{"content-type", "application/x-www-form-urlencoded"}};
  form.body = "Param1=value1";
  EXPECT_EQ(signature(form), "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a") << "post-x-www-form-urlencoded";
}

TEST(SigV4, EachPartOfTheRequestCounts) {
  auto one = input("POST", "/mcp?a=1");
  one.body = "{}";
  one.body_hash_header = true;
  const auto first = signature(one);
  const auto differs = [&](auto change) {
    auto other = one;
    auto keys = kKeys;
    change(other, keys);
    return signature(other, keys) != first;
  };
  EXPECT_TRUE(differs([](auto& in, auto&) { in.body = "{ }"; }));
  EXPECT_TRUE(differs([](auto& in, auto&) { in.target = "/mcp?a=2"; }));
  EXPECT_TRUE(differs([](auto& in, auto&) { in.method = "GET"; }));
  EXPECT_TRUE(differs([](auto& in, auto&) { in.host = "evil.example"; }));
  EXPECT_TRUE(differs([](auto& in, auto&) { in.region = "eu-west-1"; }));
  EXPECT_TRUE(differs([](auto& in, auto&) { in.service = "iam"; }));
  EXPECT_TRUE(differs([](auto& in, auto&) { in.wall_ns += 1'000'000'000; }));
  EXPECT_TRUE(differs([](auto&, auto& keys) { keys.secret_key += "x"; }));
  EXPECT_TRUE(differs([](auto&, auto& keys) { keys.session_token = "t"; }));
}

TEST(SigV4, AServicesPathIsEncodedTwiceAndThatOfS3Once) {
  auto one = input("GET", "/a%20b/%C3%A4");
  EXPECT_TRUE(canonical_request(one, {}).starts_with("GET\n/a%2520b/%25C3%25A4\n"));
  one.service = "s3";
  EXPECT_TRUE(canonical_request(one, {}).starts_with("GET\n/a%20b/%C3%A4\n"));
}

TEST(AwsKeys, TheAnswersOfThePlatformAreReadStrictly) {
  const auto role = read_role_keys(R"({"Code":"Success","AccessKeyId":"ASIA1","SecretAccessKey":"s","Token":"t","Expiration":"2015-08-30T12:36:00Z"})");
  ASSERT_TRUE(role);
  EXPECT_EQ(role->keys.access_key, "ASIA1");
  EXPECT_EQ(role->keys.session_token, "t");
  EXPECT_EQ(role->expires_wall_ns, kThen);
  for (const char* bad : {"", "{}", "[]", R"({"AccessKeyId":"a","SecretAccessKey":"s"})", R"({"AccessKeyId":"a\r\nX: y","SecretAccessKey":"s","Expiration":"2015-08-30T12:36:00Z"})",
                          R"({"AccessKeyId":"a","SecretAccessKey":"s","Expiration":"soon"})"})
    EXPECT_FALSE(read_role_keys(bad)) << bad;
  const std::string sts = "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><SessionToken>t+/=</SessionToken><SecretAccessKey>s</SecretAccessKey>"
                          "<Expiration>2015-08-30T12:36:00Z</Expiration><AccessKeyId>ASIA2</AccessKeyId></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>";
  const auto assumed = read_sts_keys(sts);
  ASSERT_TRUE(assumed);
  EXPECT_EQ(assumed->keys.session_token, "t+/=");
  EXPECT_FALSE(read_sts_keys("<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"));
  EXPECT_FALSE(read_sts_keys("<AccessKeyId>a"));
}

}  // namespace
}  // namespace sallyport::target
