#include "base/json.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>

namespace sallyport::json {
namespace {

using namespace std::string_literals;

std::string problem(std::string text, const Limits& limits = {}) {
  const auto document = Document::parse(std::move(text), limits);
  return document ? "" : document.error().what;
}

Document parsed(std::string text) {
  auto document = Document::parse(std::move(text));
  EXPECT_TRUE(document) << document.error().what;
  return document ? std::move(*document) : Document();
}

std::string canon(std::string text) { return canonical(parsed(std::move(text)).root()); }

TEST(JsonParse, AcceptsWhatTheRfcAllows) {
  const std::string kGood[] = {
      "null", "true", "false", "0", "-0", "-1", "123", "1.5", "-0.0", "1e5", "1E+5", "1e-5", "0e0", "0.1e1", "20e1",
      "123.456e78", "\"\"", "\"a\"", "[]", "{}", "[ ]", "{ }", " [] ", "\t\n\r 1 \t\n\r", "[null]", "[[[]]]",
      "[1,2 , 3]", "{\"a\":1}", "{ \"a\" : { \"b\" : [ ] } }", "{\"\":0}", R"(["\"\\\/\b\f\n\r\t"])",
      R"(["\u0000"])", R"(["\u00e9\uD83D\uDE00"])", R"(["\uD834\uDD1E"])", "[\"\x7f\"]", "[\"\xC3\xA9\"]",
      "[\"\xF4\x8F\xBF\xBF\"]", "[\"\xE2\x80\xA8\"]", "[\"\xEF\xBB\xBF\"]", R"({"a":1,"A":2})",
      "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "1e-400",
      "123456789012345678901234567890", "[\"a\",\"b\"]", "[1,\"x\",true,null,{\"k\":[]}]", "\"\\\\\"", "[\"\\\\\",\"\\\"\"]",
      "[0.000000000000000000000000000000000000000000000000000000000000000000000000000000000000001]"};
  for (const auto& text : kGood) EXPECT_EQ(problem(text), "") << text;
}

TEST(JsonParse, RefusesWhatTheRfcDoesNotAllow) {
  const std::string kBad[] = {
      "", " ", "\n", "nul", "nulll", "truefalse", "tru", "True", "TRUE", "NaN", "Infinity", "-Infinity", "undefined",
      "00", "01", "-01", "-", "+1", ".5", "1.", "1.e5", "1e", "1e+", "1e-", "1ee5", "1.2.3", "0x10", "1_000", "1a", "-a",
      "- 1", "1 2", "1e5.5", "--1", "1+1", "\xC2\xA0" "1", "\"", "\"a", "'a'", "\"\\\"", "\"\\", "\"\\a\"", "\"\\x41\"",
      "\"\\u\"", "\"\\u12\"", "\"\\u123\"", "\"\\u12g4\"", "\"\\U0041\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"",
      "\"\\ud800\\ud800\"", "\"\\ud800x\"", "\"\\udbff\\\"", "\"a\nb\"", "\"a\tb\"", "\"a\0b\""s, "\"a\x1f\"",
      "\"\xff\"", "\"\xC0\x80\"", "\"\xED\xA0\x80\"", "\"\xF5\x80\x80\x80\"", "\"\xE2\x82\"", "\"\xC3", "\x80",
      "[", "]", "[1", "[1,", "[1,]", "[,1]", "[,]", "[1,,2]", "[1 2]", "[1:2]", "[1}", "[]]", "[][]", "[\"a\"\"b\"]", "[\"a\"b]",
      "[1\"a\"]", "[true\"a\"]", "[\"a\"1]", "[a]", "[1]x", "[1]\0"s, "[\\\"a\"]", "[1\\]", "[\"a\"\\]",
      "{", "}", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{,}", "{\"a\"}", "{\"a\",1}", "{\"a\" 1}", "{a:1}", "{1:1}",
      "{'a':1}", "{null:1}", "{\"a\"::1}", "{\"a\":1 \"b\":2}", "{\"a\":1,,\"b\":2}", "{\"a\":1]", "{[1]:2}", "{\"a\":b}", "{}{}", "{}}",
      "{\"a\":1,\"a\":1}", "{\"a\":1,\"\\u0061\":2}", "{\"x\":{\"a\":1,\"b\":2,\"a\":3}}", "{\"\":0,\"\":1}", "{\"/\":0,\"\\/\":1}",
      "\xEF\xBB\xBF{}", "// c\n1", "1 // c", "/* c */ 1", "[1]/**/", "#\n1", "1e400", "-1e400", "[1e999999999999]", "\v1", "\f1", "1\0"s,
      "\xFE\xFF", "<null>", "abc", "\"a\" \"b\"", "*", "[-]", "[1.0e+]", "[0e]", "[1eE2]", "[2.e3]", "[-2.]", "[0.e1]", "[.-1]", "[1 000.0]"};
  for (const auto& text : kBad) EXPECT_NE(problem(text), "") << text;
}

TEST(JsonParse, SaysWhatIsWrongAndWhere) {
  EXPECT_EQ(problem("[1,2"), "JSON: an array or object is not closed at byte 0");
  EXPECT_EQ(problem("[1,x]"), "JSON: not a JSON value at byte 3");
  EXPECT_EQ(problem("{\"a\":1,\"a\":22}"), "JSON: a duplicate key for the value at byte 11");
  EXPECT_EQ(problem("[1] 2"), "JSON: text after the value at byte 4");
  EXPECT_EQ(problem("[\"ab\\q\"]"), "JSON: unknown escape at byte 4");
  EXPECT_EQ(problem("[\"\\ud800\"]"), "JSON: a lone surrogate at byte 2");
}

TEST(JsonParse, KeepsToItsLimits) {
  EXPECT_EQ(problem("[[[[]]]]", {.max_depth = 4}), "");
  EXPECT_NE(problem("[[[[[]]]]]", {.max_depth = 4}), "");
  EXPECT_NE(problem("{\"a\":[{\"b\":[0]}]}", {.max_depth = 3}), "");
  EXPECT_EQ(problem("[[[]],[[]],[[]]]", {.max_depth = 3}), "");
  EXPECT_EQ(problem("[1,2,3]", {.max_nodes = 4}), "");
  EXPECT_NE(problem("[1,2,3,4]", {.max_nodes = 4}), "");
  EXPECT_EQ(problem("[1]", {.max_bytes = 3}), "");
  EXPECT_NE(problem("[1] ", {.max_bytes = 3}), "");
  EXPECT_NE(problem(std::string(1'000'000, '[')), "");
  EXPECT_NE(problem(std::string(1'000'000, ',')), "");
}

TEST(JsonParse, FindsDuplicatesAmongManyKeys) {
  std::string text = "{";
  for (int i = 0; i < 500; ++i) text += fmt::format("\"k{}\":{},", i, i);
  EXPECT_EQ(problem(text + "\"last\":0}"), "");
  EXPECT_NE(problem(text + "\"k\\u0031\":0}"), "");
  EXPECT_NE(problem(text + "\"k499\":0}"), "");
}

TEST(JsonParse, RefusesEveryProperPrefixOfAnObject) {
  const std::string text = R"({"a":[1,-2.5e3,true,null,"x\u0041\n"],"b":{"c":"é"},"d":false})";
  for (std::size_t n = 0; n < text.size(); ++n) EXPECT_NE(problem(text.substr(0, n)), "") << text.substr(0, n);
  EXPECT_EQ(problem(text), "");
}

TEST(JsonParse, HasNoStateBetweenLongAndShortTexts) {
  std::string text = "[";
  for (int i = 0; i < 300'000; ++i) text += "\"abcdefg\",";
  EXPECT_EQ(parsed(text + "1]").root().size(), 300'001U);
  EXPECT_EQ(parsed("[7]").root().size(), 1U);
  EXPECT_NE(problem(text), "");
  EXPECT_EQ((*parsed("[8]").root().begin()).as_int(), 8);
}

TEST(JsonValue, GivesScalarsTheirKindAndValue) {
  const auto document = parsed(R"([null,true,false,-7,9223372036854775807,9223372036854775808,0.5,1e3,"a\tb",-0,1.0])");
  std::vector<Value> v;
  for (const Value element : document.root()) v.push_back(element);
  ASSERT_EQ(v.size(), 11U);
  EXPECT_EQ(v[0].kind(), Kind::Null);
  EXPECT_TRUE(v[1].as_bool());
  EXPECT_FALSE(v[2].as_bool());
  EXPECT_EQ(v[2].kind(), Kind::Bool);
  EXPECT_EQ(v[3].as_int(), -7);
  EXPECT_EQ(v[4].as_int(), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(v[5].kind(), Kind::Double);
  EXPECT_EQ(v[5].as_double(), 9223372036854775808.0);
  EXPECT_EQ(v[6].as_double(), 0.5);
  EXPECT_EQ(v[7].as_double(), 1000);
  EXPECT_EQ(v[8].as_string(), "a\tb");
  EXPECT_EQ(v[9].kind(), Kind::Int);
  EXPECT_EQ(v[10].kind(), Kind::Double);
  EXPECT_EQ(v[3].as_double(), -7);
  EXPECT_EQ(v[3].as_string(), "");
  EXPECT_EQ(v[8].as_int(), 0);
}

TEST(JsonValue, KnowsWhereItStandsInTheText) {
  const std::string text = R"( {"a" : [1, "x\ny" ,{ } ] , "bé":-1.5e2 } )";
  const auto document = parsed(text);
  const Value root = document.root();
  EXPECT_EQ(root.raw(), R"({"a" : [1, "x\ny" ,{ } ] , "bé":-1.5e2 })");
  EXPECT_EQ(root["a"].raw(), R"([1, "x\ny" ,{ } ])");
  std::vector<std::string_view> raws;
  for (const Value element : root["a"]) {
    raws.push_back(element.raw());
    EXPECT_EQ(text.substr(element.offset(), element.raw().size()), element.raw());
  }
  EXPECT_EQ(raws, (std::vector<std::string_view>{"1", R"("x\ny")", "{ }"}));
  EXPECT_EQ(root["bé"].raw(), "-1.5e2");
  EXPECT_EQ(root["bé"].key(), "bé");
}

TEST(JsonValue, FindsMembersByTheirUnescapedName) {
  const auto document = parsed(R"({"\u0061b":1,"c":{"ab":2},"":3})");
  EXPECT_EQ(document.root()["ab"].as_int(), 1);
  EXPECT_EQ(document.root()["c"]["ab"].as_int(), 2);
  EXPECT_EQ(document.root()[""].as_int(), 3);
  EXPECT_FALSE(document.root()["AB"].valid());
  EXPECT_FALSE(document.root()["ab"]["x"].valid());
  EXPECT_FALSE(document.root()["nothing"]["at all"].valid());
}

TEST(JsonValue, IsHarmlessWhenInvalid) {
  const Value none;
  EXPECT_FALSE(none.valid());
  EXPECT_EQ(none.kind(), Kind::Null);
  EXPECT_EQ(none.raw(), "");
  EXPECT_EQ(none.key(), "");
  EXPECT_EQ(none.size(), 0U);
  EXPECT_TRUE(none.begin() == none.end());
  EXPECT_EQ(canonical(none), "");
  EXPECT_FALSE(Document().root().valid());
}

TEST(JsonValue, StaysValidWhenItsDocumentMoves) {
  auto first = parsed(R"(["a","\u0062"])");
  const Value root = first.root();
  const Document second = std::move(first);
  std::string all;
  for (const Value element : root) all += element.as_string();
  EXPECT_EQ(all, "ab");
}

TEST(JsonSplice, ReplacesValuesAndLeavesTheRestByteForByte) {
  const auto document = parsed("{ \"a\" : 1 ,\t\"b\":[ \"x\" , 2e0 ] }");
  Splice splice;
  EXPECT_TRUE(splice.empty());
  splice.replace(*std::next(document.root()["b"].begin()), "[]");
  splice.replace(document.root()["a"], "\"one\"");
  splice.replace(*document.root()["b"].begin(), quote("\"y\""));
  EXPECT_EQ(splice.apply(document.text()), "{ \"a\" : \"one\" ,\t\"b\":[ \"\\\"y\\\"\" , [] ] }");
}

TEST(JsonSplice, InsertsAtAPlaceBeforeWhatIsReplacedThere) {
  Splice splice;
  splice.replace(1, 1, "B");
  splice.replace(1, 0, "1");
  splice.replace(1, 0, "2");
  splice.replace(3, 0, "!");
  EXPECT_EQ(splice.apply("abc"), "a12Bc!");
}

TEST(JsonSplice, ThrowsOnOverlapAndOnPlacesOutsideTheText) {
  Splice overlap;
  overlap.replace(0, 2, "x");
  overlap.replace(1, 2, "y");
  EXPECT_THROW(overlap.apply("abc"), std::logic_error);
  Splice outside;
  outside.replace(2, 2, "x");
  EXPECT_THROW(outside.apply("abc"), std::logic_error);
}

TEST(JsonQuote, EscapesWhatMustBeEscapedAndReadsBack) {
  EXPECT_EQ(quote(""), "\"\"");
  EXPECT_EQ(quote("a\"b\\c/d"), R"("a\"b\\c/d")");
  EXPECT_EQ(quote("\b\t\n\f\r\x01\x1f\x7f"s), "\"\\b\\t\\n\\f\\r\\u0001\\u001f\x7f\"");
  EXPECT_EQ(quote("\0"s), R"("\u0000")");
  std::string all;
  for (int c = 0; c < 128; ++c) all += static_cast<char>(c);
  EXPECT_EQ(parsed(quote(all)).root().as_string(), all);
}

TEST(JsonQuote, ReplacesBytesThatAreNoUtf8) {
  EXPECT_EQ(quote("a\xff" "b"), "\"a\xEF\xBF\xBD" "b\"");
  EXPECT_EQ(quote("\xC3"), "\"\xEF\xBF\xBD\"");
  EXPECT_EQ(quote("\xED\xA0\x80"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
  EXPECT_EQ(quote("\xE2\x82\xAC\xF0\x9F\x98\x80"), "\"\xE2\x82\xAC\xF0\x9F\x98\x80\"");
}

TEST(JsonCaseVariants, AreFoundInThisObjectOnly) {
  const auto variant = [](std::string text) { return has_case_variant_keys(parsed(std::move(text)).root()); };
  EXPECT_TRUE(variant(R"({"name":1,"x":2,"Name":3})"));
  EXPECT_TRUE(variant(R"({"name":1,"n\u0041me":3})"));
  EXPECT_FALSE(variant(R"({"name":1,"names":3})"));
  EXPECT_FALSE(variant(R"({"a[":1,"a{":3})"));
  EXPECT_FALSE(variant(R"({"é":1,"É":3})"));
  EXPECT_FALSE(variant(R"({"a":{"x":1,"X":2}})"));
  EXPECT_FALSE(variant(R"(["a","A"])"));
  std::string many = "{\"KEY7\":0";
  for (int i = 10; i < 60; ++i) many += fmt::format(",\"key{}\":0", i);
  EXPECT_FALSE(variant(many + "}"));
  EXPECT_TRUE(variant(many + ",\"key7\":0}"));
}

// RFC 8785 §3.2.2 and §3.2.3.
TEST(JsonCanonical, FollowsTheExamplesOfTheRfc) {
  EXPECT_EQ(canon(R"({
    "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
    "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
    "literals": [null, true, false]
  })"),
            "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],"
            "\"string\":\"\xE2\x82\xAC$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}");
  EXPECT_EQ(canon(R"({
    "\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One",
    "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control", "\u00f6": "Latin Small Letter O With Diaeresis"
  })"),
            "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\xC2\x80\":\"Control\",\"\xC3\xB6\":\"Latin Small Letter O With Diaeresis\","
            "\"\xE2\x82\xAC\":\"Euro Sign\",\"\xF0\x9F\x98\x80\":\"Emoji: Grinning Face\",\"\xEF\xAC\xB3\":\"Hebrew Letter Dalet With Dagesh\"}");
}

// RFC 8785 appendix B: IEEE 754 bits and their text.
TEST(JsonCanonical, WritesNumbersAsEcmascriptDoes) {
  const std::pair<std::uint64_t, const char*> kVectors[] = {
      {0x0000000000000000, "0"}, {0x8000000000000000, "0"}, {0x0000000000000001, "5e-324"}, {0x8000000000000001, "-5e-324"},
      {0x7fefffffffffffff, "1.7976931348623157e+308"}, {0xffefffffffffffff, "-1.7976931348623157e+308"},
      {0x4340000000000000, "9007199254740992"}, {0xc340000000000000, "-9007199254740992"}, {0x4430000000000000, "295147905179352830000"},
      {0x44b52d02c7e14af5, "9.999999999999997e+22"}, {0x44b52d02c7e14af6, "1e+23"}, {0x44b52d02c7e14af7, "1.0000000000000001e+23"},
      {0x444b1ae4d6e2ef4e, "999999999999999700000"}, {0x444b1ae4d6e2ef4f, "999999999999999900000"}, {0x444b1ae4d6e2ef50, "1e+21"},
      {0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"}, {0x3eb0c6f7a0b5ed8d, "0.000001"}, {0x41b3de4355555553, "333333333.3333332"},
      {0x41b3de4355555554, "333333333.33333325"}, {0x41b3de4355555555, "333333333.3333333"}, {0x41b3de4355555556, "333333333.3333334"},
      {0x41b3de4355555557, "333333333.33333343"}, {0xbecbf647612f3696, "-0.0000033333333333333333"},
      {0x43143ff3c1cb0959, "1424953923781206.2"}};
  for (const auto& [bits, text] : kVectors) {
    double value;
    std::memcpy(&value, &bits, sizeof value);
    EXPECT_EQ(canon(fmt::format("{:.17e}", value)), text);
  }
}

TEST(JsonCanonical, KeepsEveryDigitOfAnInteger) {
  EXPECT_EQ(canon("[9007199254740993,-9223372036854775808,18446744073709551616,18446744073709551617,-0]"),
            "[9007199254740993,-9223372036854775808,18446744073709551616,18446744073709551617,0]");
}

TEST(JsonCanonical, IsTheSameForTextsThatMeanTheSame) {
  EXPECT_EQ(canon(R"({"b":[1.0,"\u0041"],"a":{}, "c":[ ]})"), R"({"a":{},"b":[1,"A"],"c":[]})");
  const std::string once = canon(R"({"z":{"b":1,"a":[{"y":1,"x":2}]},"A":1e2})");
  EXPECT_EQ(canon(once), once);
}

}  // namespace
}  // namespace sallyport::json
