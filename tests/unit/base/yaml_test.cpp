#include "base/yaml.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace sallyport::yaml {
namespace {

/// "line:column: message" of each error, in the order they were found.
std::string problems(std::string text, Node* out = nullptr) {
  Diagnostics diagnostics("f", std::move(text));
  auto node = parse(diagnostics, {"tls"});
  if (out) *out = std::move(node);
  std::string all;
  for (const auto& [place, message] : diagnostics.errors()) all += fmt::format("{}:{}: {}\n", place.line, place.column, message);
  return all;
}

struct Refused {
  const char* text;
  const char* begins;  // of the first problem
};

TEST(Yaml, RefusesEachConstructOutsideTheSubsetAtItsPlace) {
  const Refused kRefused[] = {
      {"a: 1\nb: 2\na: 3\n", "3:1: the key \"a\" stands here a second time; the first is in line 1"},
      {"{ a: 1, 'a': 2 }", "1:9: the key \"a\" stands here a second time"},
      {"a: &x 1", "1:4: anchors"},
      {"a: &x { b: 1 }", "1:4: anchors"},
      {"a: &x\nb: 1", "1:4: anchors"},
      {"a: &x 1\nb: *x", "1:4: anchors"},
      {"a: !!str b", "1:4: tags"},
      {"a: !x { b: 1 }", "1:4: tags"},
      {"a: ! b", "1:4: tags"},
      {"a: !!str 'b'", "1:4: tags"},
      {"x: 1\n<<: { a: 1 }", "2:1: merge keys"},
      {"a: 1\n---\nb: 2\n", "2:1: a second document"},
      {"a: 1\n...\nb: 2\n", "3:1: text after the end"},
      {"- a\nb: c", "2:1: text after the end"},
      {"%YAML 1.1\n---\na: 1", "1:1: directives"},
      {"a: yes", "1:4: yes means a boolean"},
      {"a: [No]", "1:5: No means a boolean"},
      {"on: 1", "1:1: on means a boolean"},
      {"a: off", "1:4: off means a boolean"},
      {"tls: no", "1:6: no means a boolean"},
      {"a: 0777", "1:4: 0777 has a leading zero"},
      {"a: -010", "1:4: -010 has a leading zero"},
      {"a:\n\tb: 1", "2:1: a tab in the indentation"},
      {"a: \x01", "1:4: U+0001 is a control character"},
      {"a: b\rc: d\n", "1:5: U+000D is a carriage return without"},
      {"ab: \xff", "1:5: byte 0xff is not UTF-8"},
      {"ab: \xc0\x80", "1:5: byte 0xc0 is not UTF-8"},
      {"ab: \xed\xa0\x80", "1:5: byte 0xed is not UTF-8"},
      {"\xef\xbb\xbf""a: 1", "1:1: U+FEFF is a byte order mark"},
      {"a: x\xe2\x80\xae", "1:5: U+202E is a character that reverses"},
      {"\xc3\xa9: \xc3\xa9\xc3\xa9\n\xc3\xa9\xc3\xa9: yes", "2:5: yes"},
      {"? [a]\n: b", "1:3: a key is a string"},
      {"{ a: 1, , b: 2 }", "1:9: a key is missing here"},
      {"[a, , b]", "1:5: an empty item"},
      {"{ a:1 }", "1:3: \"a:1\" is a key without a value"},
      {"a: 1\nb", "2:1: \"b\" is a key without a value"},
      {"a: b: c", "1:5: a ':' where no value can stand"},
      {"a: { b: 1\n", "1:4: '{' is not closed"},
      {"a: \"x", "1:6: the quoted text is not closed"},
      {"a: @x", "1:4: this character cannot begin a value"},
      {"a: 'x' y", "1:8: text after a value"},
  };
  for (const auto& [text, begins] : kRefused) {
    EXPECT_TRUE(problems(text).starts_with(begins)) << text << "\n" << problems(text);
  }
}

TEST(Yaml, CollectsAllErrorsOfAFile) {
  EXPECT_EQ(problems("a: yes\na: 1\nb: 010\nc: [1, , 2]\n"),
            "1:4: yes means a boolean to some readers of YAML and a string to others; write true, false or \"yes\"\n"
            "2:1: the key \"a\" stands here a second time; the first is in line 1\n"
            "3:4: 010 has a leading zero, which is octal to some readers of YAML; leave it out or write \"010\"\n"
            "4:8: an empty item; write null if it is meant, or drop the ',' or '-'\n");
}

TEST(Yaml, RefusesNestingDeeperThan32LevelsHoweverItIsWritten) {
  for (const std::string level : {"[", "{a: ", "- ", "[a,\n"}) {
    std::string text;
    for (int i = 0; i < 33; ++i) text += level;
    EXPECT_NE(problems(text).find("nested deeper than 32 levels"), std::string::npos) << level;
    for (int i = 0; i < 100'000; ++i) text += level;
    EXPECT_NE(problems(text).find("nested deeper than 32 levels"), std::string::npos) << level;
  }
  std::string fits;
  for (int i = 0; i < 32; ++i) fits += '[';
  EXPECT_EQ(problems(fits + "a" + std::string(32, ']')), "");
}

TEST(Yaml, RefusesFilesOverFourMebibytes) {
  EXPECT_EQ(problems("# " + std::string((4u << 20) - 2, 'x')), "");
  EXPECT_TRUE(problems("# " + std::string((4u << 20) - 1, 'x')).starts_with("0:0: the file has 4194305 bytes"));
}

TEST(Yaml, RefusesMoreBracketsThanThereMayBeValuesBeforeTheyAreParsed) {
  EXPECT_TRUE(problems(std::string(250'001, '[')).starts_with("0:0: more than 250000 lists and mappings"));
}

TEST(Yaml, KeepsPlacesKindsAndQuotes) {
  Node root;
  EXPECT_EQ(problems("# first\na: 1\nb: [x, 'no']\nc:\n  d: \"07\"\ne:\nf: null\ntls: off\n", &root), "");
  ASSERT_EQ(root.kind, Node::Kind::Mapping);
  ASSERT_EQ(root.members.size(), 6u);
  const auto* b = root.find("b");
  ASSERT_EQ(b->items.size(), 2u);
  EXPECT_EQ(b->items[1].scalar, "no");
  EXPECT_TRUE(b->items[1].quoted);
  EXPECT_FALSE(b->items[0].quoted);
  EXPECT_EQ(b->items[1].place.line, 3u);
  EXPECT_EQ(b->items[1].place.column, 8u);
  EXPECT_EQ(root.find("c")->find("d")->scalar, "07");
  EXPECT_EQ(root.find("e")->kind, Node::Kind::Null);
  EXPECT_EQ(root.find("e")->scalar, "");
  EXPECT_EQ(root.find("e")->place.line, 6u);
  EXPECT_EQ(root.find("f")->kind, Node::Kind::Null);
  EXPECT_EQ(root.find("f")->scalar, "null");
  EXPECT_EQ(root.find("tls")->scalar, "off");
}

TEST(Yaml, ReadsCarriageReturnLineFeedLikeLineFeed) {
  Node root;
  EXPECT_EQ(problems("a:\r\n  - b\r\n  - c d\r\n    e\r\nf: |\r\n  x\r\n  y\r\n", &root), "");
  EXPECT_EQ(root.find("a")->items[1].scalar, "c d e");
  EXPECT_EQ(root.find("f")->scalar, "x\ny\n");
}

TEST(Yaml, AnEmptyFileIsANull) {
  for (const char* text : {"", "# nothing\n", "---\n"}) {
    Node root;
    EXPECT_EQ(problems(text, &root), "");
    EXPECT_EQ(root.kind, Node::Kind::Null);
  }
}

TEST(YamlDiagnostics, PrintLineAndCaretInOrderOfPlace) {
  Diagnostics diagnostics("dir/f.yaml", "a: 1\r\n\tb:\t\xc3\xa9 c\n");
  diagnostics.error({2, 7}, "second");
  diagnostics.error({1, 4}, "first");
  EXPECT_EQ(diagnostics.print(),
            "dir/f.yaml:1:4: first\n  a: 1\n     ^\n"
            "dir/f.yaml:2:7: second\n  \tb:\t\xc3\xa9 c\n  \t  \t  ^\n");
}

TEST(YamlDiagnostics, ShortenLongLinesAroundTheCaret) {
  Diagnostics diagnostics("f", std::string(1000, 'a') + "b" + std::string(1000, 'c'));
  diagnostics.error({1, 1001}, "here");
  const auto text = diagnostics.print();
  EXPECT_LT(text.size(), 300u);
  const auto line = text.substr(text.find('\n') + 1);
  const auto caret = line.substr(line.find('\n') + 1);
  EXPECT_EQ(line.substr(0, line.find('\n')).find('b') - 2, caret.find('^'));  // the sign of omission has three bytes
}

TEST(YamlDiagnostics, NeverShowAConcealedValue) {
  Diagnostics diagnostics("f", "a: { key: s3cret, b: 1 }\nc: |\n  s3cret\nd: s3cret\n");
  diagnostics.conceal({1, 11}, "s3cret");
  diagnostics.error({1, 19}, "after");
  diagnostics.error({1, 11}, "at");
  EXPECT_EQ(diagnostics.print(), "f:1:11: at\n  a: { key: …\n            ^\nf:1:19: after\n  a: { key: …\n            ^\n");
  diagnostics.conceal({2, 4}, "s3cret\n");
  diagnostics.error({3, 3}, "block");
  EXPECT_EQ(diagnostics.print().find("s3cret"), std::string::npos) << diagnostics.print();
}

TEST(YamlNearest, FindsSlipsOfOneOrTwoLettersOnly) {
  const std::vector<std::string> known = {"gateway", "targets", "policy", "id", "when"};
  EXPECT_EQ(nearest("gatewya", known), "gateway");
  EXPECT_EQ(nearest("target", known), "targets");
  EXPECT_EQ(nearest("polcy", known), "policy");
  EXPECT_EQ(nearest("wehn", known), "when");
  EXPECT_EQ(nearest("who", known), "");
  EXPECT_EQ(nearest("x", known), "");
  EXPECT_EQ(nearest("", known), "");
}

class YamlMapping : public testing::Test {
 protected:
  void load(std::string text) {
    diagnostics_ = std::make_unique<Diagnostics>("f", std::move(text));
    root_ = parse(*diagnostics_);
    ASSERT_TRUE(diagnostics_->ok()) << diagnostics_->print();
  }
  std::string errors() const {
    std::string all;
    for (const auto& [place, message] : diagnostics_->errors()) all += fmt::format("{}:{}: {}\n", place.line, place.column, message);
    return all;
  }
  std::unique_ptr<Diagnostics> diagnostics_;
  Node root_;
};

TEST_F(YamlMapping, ReportsUnknownKeysWithTheNearestKnownOne) {
  load("naem: x\nzebra: 1\n");
  {
    Mapping mapping(root_, *diagnostics_, "gateway");
    std::string name;
    mapping.string("name", name);
    EXPECT_EQ(mapping.place().line, 1u);
  }
  EXPECT_EQ(errors(), "1:1: unknown key \"naem\" in gateway (did you mean \"name\"?)\n2:1: unknown key \"zebra\" in gateway; gateway has name\n");
}

TEST_F(YamlMapping, ReportsWrongTypesAndMissingKeysAndLeavesTheDefault) {
  load("s: [a]\nb: 'true'\ni: 12x\nj: 99\nd: 5 minutes\ne: 9999999999999d\nl: a\nm: { x: [] }\no: par\nn:\n");
  std::string s = "default", missing, o, n = "kept";
  bool b = false;
  std::int64_t i = 7, j = 7, d = 7, e = 7;
  std::vector<std::string> l = {"kept"};
  std::map<std::string, std::string> m;
  {
    Mapping mapping(root_, *diagnostics_, "top");
    mapping.string("s", s);
    mapping.string("missing", missing, true);
    mapping.boolean("b", b);
    mapping.integer("i", i, 0, 10);
    mapping.integer("j", j, 0, 10);
    mapping.duration("d", d, 0, 1'000'000'000);
    mapping.duration("e", e, 0, 1'000'000'000);
    mapping.strings("l", l);
    mapping.string_map("m", m);
    mapping.one_of("o", o, {"partial", "part"});
    mapping.string("n", n);
  }
  const std::string duration = "is a duration: a whole number and a unit, such as 250ms, 50s, 30m, 8h or 7d\n";
  EXPECT_EQ(errors(), "1:4: s is a string\n1:1: top needs the key \"missing\"\n2:4: b is true or false, without quotes\n"
                      "3:4: i is a whole number\n4:4: j is a whole number from 0 to 10\n5:4: d " + duration + "6:4: e " + duration +
                      "7:4: l is a list of strings: [a, b]\n8:9: m.x is a string\n9:4: o is one of partial, part (did you mean \"part\"?)\n"
                      "10:1: n is a string, not empty\n");
  EXPECT_EQ(s, "default");
  EXPECT_EQ(i, 7);
  EXPECT_EQ(d, 7);
  EXPECT_EQ(l, std::vector<std::string>{"kept"});
}

TEST_F(YamlMapping, ReadsEveryUnitOfDurations) {
  load("a: 250ms\nb: 50s\nc: 30m\nd: 8h\ne: 7d\nf: 0s\ng: 2d\n");
  Mapping mapping(root_, *diagnostics_, "top");
  const auto read = [&](const char* key) {
    std::int64_t ns = -1;
    mapping.duration(key, ns, 0, 7 * 86'400'000'000'000);
    return ns;
  };
  EXPECT_EQ(read("a"), 250'000'000);
  EXPECT_EQ(read("b"), 50'000'000'000);
  EXPECT_EQ(read("c"), 1'800'000'000'000);
  EXPECT_EQ(read("d"), 28'800'000'000'000);
  EXPECT_EQ(read("e"), 604'800'000'000'000);
  EXPECT_EQ(read("f"), 0);
  std::int64_t kept = 5;
  mapping.duration("g", kept, 1'000'000'000, 3'600'000'000'000);
  EXPECT_EQ(kept, 5);
  EXPECT_EQ(errors(), "7:4: g is a duration from 1s to 1h\n");
}

TEST_F(YamlMapping, AnExplicitNullMayBeOneOfTheWords) {
  load("with: null\nempty:\n");
  Mapping mapping(root_, *diagnostics_, "mask");
  std::string with, empty;
  mapping.one_of("with", with, {"partial", "null"});
  mapping.one_of("empty", empty, {"partial", "null"});
  EXPECT_EQ(with, "null");
  EXPECT_EQ(errors(), "2:1: empty is one of partial, null\n");
}

TEST_F(YamlMapping, SaysWhenANodeIsNoMapping) {
  load("[a]");
  Mapping mapping(root_, *diagnostics_, "gateway");
  EXPECT_FALSE(mapping.valid());
  EXPECT_EQ(mapping.require("name"), nullptr);
  EXPECT_FALSE(mapping.has("name"));
  EXPECT_EQ(errors(), "1:1: gateway is a mapping: { key: value }\n");
}

}  // namespace
}  // namespace sallyport::yaml
