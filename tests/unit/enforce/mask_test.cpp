// What detectors find and leave, what masked values look like, and that the result is the same kind of JSON.
#include "enforce/mask.h"

#include <gtest/gtest.h>

#include <chrono>

namespace sallyport::enforce {
namespace {

const std::vector<std::string> kAll = {"email", "pan", "iban", "ssn", "phone", "ip", "jwt", "aws_key", "private_key"};

MaskRule rule(std::vector<std::string> detect, std::vector<std::string> fields = {}, MaskWith with = MaskWith::Partial) {
  return {"r", std::move(detect), std::move(fields), with};
}

std::string text(const MaskRule& mask, std::string value, MaskCounts* counts = nullptr) {
  MaskCounts ignored;
  Masker({&mask}).mask_text(value, counts ? *counts : ignored);
  return value;
}

std::string json(const MaskRule& mask, const std::string& value, MaskCounts* counts = nullptr) {
  auto document = json::Document::parse(value);
  EXPECT_TRUE(document) << value;
  json::Splice splice;
  MaskCounts ignored;
  Masker({&mask}).mask_json(document->root(), splice, counts ? *counts : ignored);
  auto out = splice.empty() ? value : splice.apply(value);
  EXPECT_TRUE(json::Document::parse(out)) << out;
  return out;
}

struct Row {
  const char* detector;
  const char* in;
};

TEST(Detectors, FindWhatTheyAreFor) {
  const Row rows[] = {
      {"email", "write to jane.roe+x@mail.example.com now"},
      {"email", "mailto:jane@example.co.uk"},
      {"email", "<jane@example.com>"},
      {"email", "jane%40example.com"},
      {"pan", "4111111111111111"},
      {"pan", "4111 1111 1111 1111"},
      {"pan", "5500-0000-0000-0004"},
      {"pan", "378282246310005"},
      {"iban", "GB82 WEST 1234 5698 7654 32"},
      {"iban", "DE89370400440532013000"},
      {"ssn", "078-05-1121"},
      {"phone", "+44 20 7946 0958"},
      {"phone", "+1 (415) 555-2671"},
      {"ip", "from 192.168.1.10 to"},
      {"ip", "2001:db8::8a2e:370:7334"},
      {"jwt", "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"},
      {"aws_key", "AKIAIOSFODNN7EXAMPLE"},
      {"private_key", "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7\n-----END RSA PRIVATE KEY-----"},
      {"private_key", "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC"},
  };
  for (const auto& [detector, in] : rows) {
    MaskCounts counts;
    const auto out = text(rule({detector}), in, &counts);
    EXPECT_NE(out, in) << detector;
    EXPECT_EQ(counts["r:" + std::string(detector)], 1u) << detector << ": " << in;
  }
}

TEST(Detectors, LeaveWhatOnlyLooksLikeIt) {
  const Row rows[] = {
      {"email", "user@ host, @decorator, a@b, x@localhost"},
      {"pan", "4111111111111112"},
      {"pan", "1234567890123456"},
      {"pan", "2026-11-21T10:00:00.123456789Z"},
      {"iban", "GB82 WEST 1234 5698 7654 33"},
      {"iban", "THE QUICK BROWN FOX JUMPS"},
      {"ssn", "000-12-3456"},
      {"ssn", "666-12-3456"},
      {"phone", "2026-11-21"},
      {"phone", "550e8400-e29b-41d4-a716-446655440000"},
      {"phone", "version 1.2.3, build 20261121"},
      {"ip", "version 1.2.3"},
      {"ip", "999.1.1.1"},
      {"jwt", "eyJ.abc.def"},
      {"aws_key", "AKIA-NOT-A-KEY"},
      {"private_key", "-----BEGIN CERTIFICATE-----"},
  };
  for (const auto& [detector, in] : rows) EXPECT_EQ(text(rule({detector}), in), in) << detector;
}

TEST(Detectors, SeeThroughZeroWidthAndFullWidthDisguise) {
  EXPECT_EQ(text(rule({"email"}), "jane\u200b@exam\u200bple.com").find("jane"), std::string::npos);
  EXPECT_NE(text(rule({"pan"}), "\uff14\uff11\uff11\uff11 1111 1111 1111"), "\uff14\uff11\uff11\uff11 1111 1111 1111");
}

TEST(Detectors, TakeLinearTimeOnHostileText) {
  const std::size_t size = 1u << 20;
  const auto repeat = [&](std::string_view unit) {
    std::string out;
    while (out.size() < size) out += unit;
    return out;
  };
  for (const auto* unit : {"a@", "1", "4111 ", "eyJ", "eyJhbGciOiJ.", "AKIA", "-----BEGIN PRIVATE KEY-----", "1.", "+1 ", ":", "a.", "GB82"}) {
    const auto hostile = repeat(unit);
    const auto begun = std::chrono::steady_clock::now();
    (void)text(rule(kAll), hostile);
    const auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    EXPECT_LT(took, 2.0) << unit;
  }
}

TEST(MaskJson, TextAndStructureAndNumbersKeepTheirTypes) {
  EXPECT_EQ(json(rule({"email", "pan"}), R"({"a":"x jane@example.com","n":4111111111111111,"k":5,"b":true,"z":null,"l":["a@b.example"]})"),
            R"({"a":"x j***@***.com","n":1111,"k":5,"b":true,"z":null,"l":["***@***"]})");
  EXPECT_EQ(json(rule({"email"}), R"({"e":"jane\u0040example.com"})"), R"({"e":"j***@***.com"})") << "an escape hides nothing";
}

TEST(MaskJson, FieldsAreMaskedWholeInTheirType) {
  const auto fields = rule({}, {"$.customer.phone", "$.items[*].n", "$..secret"}, MaskWith::Redact);
  EXPECT_EQ(json(fields, R"({"customer":{"phone":"123","name":"x"},"items":[{"n":7},{"n":8.5,"m":1}],"deep":{"secret":true},"secret":{"a":"b","c":[1]}})"),
            R"({"customer":{"phone":"[masked]","name":"x"},"items":[{"n":0},{"n":0,"m":1}],"deep":{"secret":false},"secret":{"a":"[masked]","c":[0]}})");
  EXPECT_EQ(json(rule({}, {"$.a"}, MaskWith::Null), R"({"a":"x","b":1})"), R"({"a":null,"b":1})");
}

TEST(MaskJson, JsonInAStringIsMaskedInsideFieldsAndAll) {
  MaskCounts counts;
  const auto mask = rule({"email"}, {"$.customer.phone"});
  EXPECT_EQ(json(mask, R"(["{\"customer\":{\"phone\":\"+44 20 7946 0958\",\"mail\":\"jane@example.com\"}}"])", &counts),
            R"(["{\"customer\":{\"phone\":\"+** ** **** 0958\",\"mail\":\"j***@***.com\"}}"])");
  EXPECT_EQ(counts["r:$.customer.phone"], 1u);
  EXPECT_EQ(counts["r:email"], 1u);
  EXPECT_EQ(json(mask, R"(["{ no json jane@example.com"])"), R"(["{ no json j***@***.com"])");
}

TEST(MaskJson, KeysThatHoldAValueAreMaskedAndStayDifferent) {
  EXPECT_EQ(json(rule({"email"}), R"({"jane@example.com":1 , "john@example.com" : 2,"ok":3})"), R"({"j***@***.com":1 , "j***@***.com#2" : 2,"ok":3})");
}

TEST(MaskJson, ManyKeysThatMaskAlikeCostNoMoreThanTheyAre) {
  std::string object = "{";
  for (int i = 0; i < 20'000; ++i) object += (i ? "," : "") + std::string("\"jane") + std::to_string(i) + "@example.com\":1";
  const auto begun = std::chrono::steady_clock::now();
  const auto out = json(rule({"email"}), object + "}");
  EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count(), 2.0);
  EXPECT_NE(out.find("j***@***.com#20000"), std::string::npos);
}

TEST(MaskJson, ACardNumberIsFoundHoweverTheNumberIsWritten) {
  for (const auto* number : {"4111111111111111", "-4111111111111111", "4111111111111111.0", "4.111111111111111e15", "4111111111111111E0"})
    EXPECT_EQ(json(rule({"pan"}), std::string("{\"n\":") + number + "}"), R"({"n":1111})") << number;
  for (const auto* number : {"4111111111111111.5", "4111111111111112", "1e300", "0.4111111111111111"})
    EXPECT_EQ(json(rule({"pan"}), std::string("{\"n\":") + number + "}"), std::string("{\"n\":") + number + "}") << number;
}

TEST(MaskJson, MaskingTwiceChangesNothing) {
  for (const auto with : {MaskWith::Partial, MaskWith::Redact, MaskWith::Hash, MaskWith::Null}) {
    const auto mask = rule(kAll, {"$.f", "$..g"}, with);
    const std::string in = R"({"f":"some value","g":[{"g":12345}],"t":"jane@example.com 4111 1111 1111 1111 +44 20 7946 0958 10.1.2.3 AKIAIOSFODNN7EXAMPLE GB82 WEST 1234 5698 7654 32"})";
    const auto once = json(mask, in);
    EXPECT_NE(once, in);
    // A hashed number looks like any other number: it alone may change again.
    auto stable = rule(kAll, {"$.f"}, with);
    const auto first = json(stable, in);
    EXPECT_EQ(json(stable, first), first);
    if (with != MaskWith::Hash) EXPECT_EQ(json(mask, once), once);
  }
}

TEST(MaskJson, EqualValuesHaveEqualTokensAndOthersDoNot) {
  const auto mask = rule({"email"}, {}, MaskWith::Hash);
  const auto a = text(mask, "jane@example.com"), b = text(mask, "jane@example.com"), c = text(mask, "john@example.com");
  EXPECT_EQ(a, b);
  EXPECT_NE(a, c);
  EXPECT_EQ(a.find("jane"), std::string::npos);
}

TEST(MaskRules, TheOneThatShowsLeastDecides) {
  const auto partial = rule({"email"}, {}, MaskWith::Partial);
  MaskRule redact = rule({"email"}, {}, MaskWith::Redact);
  redact.id = "strict";
  MaskCounts counts;
  std::string value = "jane@example.com";
  Masker({&partial, &redact}).mask_text(value, counts);
  EXPECT_EQ(value, "[email]");
  EXPECT_EQ(counts["strict:email"], 1u);
}

TEST(MaskRules, UnknownDetectorsAndPathsAreNamed) {
  EXPECT_NE(check_detector("emial").find("email"), std::string::npos);
  EXPECT_EQ(check_detector("email"), "");
  EXPECT_EQ(check_field_path("$.a[*].b"), "");
  for (const auto* bad : {"", "a.b", "$", "$.", "$.a[", "$.a[x]", "$['a", "$.a b"}) EXPECT_NE(check_field_path(bad), "") << bad;
}

}  // namespace
}  // namespace sallyport::enforce
