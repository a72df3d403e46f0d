// Values are replaced by what their type allows, in both formats, and rows stay rows.
#include "protocol/postgres/rows.h"

#include <gtest/gtest.h>

namespace sallyport::protocol::postgres {
namespace {

using namespace std::string_literals;
using enforce::MaskWith;

struct Case {
  Case(std::vector<std::string> detect, MaskWith with) {
    rule.id = "pii";
    rule.with = with;
    rule.detect = std::move(detect);
    auto made = std::make_shared<enforce::SqlMasking>();
    made->masker = std::make_shared<const enforce::Masker>(std::vector<const enforce::MaskRule*>{&rule});
    made->rules = {&rule};
    auto columns = std::make_shared<sql::MaskedColumns>();
    columns->tables[7][2] = 0;
    made->columns = columns;
    auto flow = std::make_shared<sql::Flow>();
    flow->touches = true;
    flow->columns = {-1, 0, -1};
    flow->types = {0, 25, 0};
    made->flow = flow;
    masking = made;
  }
  enforce::MaskRule rule;
  enforce::SqlMaskingPtr masking;
};

std::string row(const std::vector<std::optional<std::string>>& values) {
  std::string out;
  put_u16(out, static_cast<std::uint16_t>(values.size()));
  for (const auto& value : values) {
    put_u32(out, value ? static_cast<std::uint32_t>(value->size()) : 0xFFFFFFFF);
    if (value) out += *value;
  }
  return out;
}

TEST(Rows, AMaskedColumnHasALegalValueOfItsTypeInBothFormats) {
  Case masked({}, MaskWith::Redact);
  struct Row { std::uint32_t type; std::string text, binary; };
  for (const auto& [type, text, binary] : std::vector<Row>{{23, "0", "\0\0\0\0"s}, {20, "0", std::string(8, '\0')}, {701, "0", std::string(8, '\0')}, {16, "f", "\0"s}, {1082, "2000-01-01", "\0\0\0\0"s}, {2950, "00000000-0000-0000-0000-000000000000", std::string(16, '\0')},
                                                           {1700, "0", std::string(8, '\0')}, {17, "\\x", ""}, {114, "\"[masked]\"", "\"[masked]\""}, {3802, "\"[masked]\"", "\1\"[masked]\""}, {869, "0.0.0.0", "\2\x20\0\4\0\0\0\0"s}})
    for (const bool as_binary : {false, true}) {
      auto rows = RowMask::make(masked.masking, nullptr, {{"id", 7, 1, 23, 0}, {"x", 7, 2, type, 0}}, {static_cast<std::int16_t>(as_binary)});
      ASSERT_TRUE(rows);
      enforce::MaskCounts counts;
      std::string out, want;
      const auto changed = rows->apply(row({"abcd", "secret value"}), counts, out);
      ASSERT_TRUE(changed && *changed) << type;
      put_message(want, 'D', row({"abcd", as_binary ? binary : text}));
      EXPECT_EQ(hex(as_bytes(out)), hex(as_bytes(want))) << type << (as_binary ? " binary" : " text");
      EXPECT_EQ(counts["pii:x"], 1u);
    }
}

TEST(Rows, NullStaysNullAndATypeWithoutALegalValueBecomesNull) {
  Case masked({}, MaskWith::Redact);
  auto rows = RowMask::make(masked.masking, nullptr, {{"id", 7, 1, 23, 0}, {"x", 7, 2, 600, 0}}, {});
  enforce::MaskCounts counts;
  std::string out, want;
  EXPECT_FALSE(*rows->apply(row({"1", std::nullopt}), counts, out));
  ASSERT_TRUE(*rows->apply(row({"1", "(1,2)"}), counts, out));
  put_message(want, 'D', row({"1", std::nullopt}));
  EXPECT_EQ(out, want);
}

TEST(Rows, DetectorsFindTextsWithinJsonArraysAndRecordsOfBothFormats) {
  Case masked({"email"}, MaskWith::Redact);
  const std::string address = "jane@example.com";
  std::string array, record;
  for (const std::uint32_t n : {1u, 0u, 25u, 1u, 1u, static_cast<std::uint32_t>(address.size())}) put_u32(array, n);
  array += address;
  for (const std::uint32_t n : {1u, 25u, static_cast<std::uint32_t>(address.size())}) put_u32(record, n);
  record += address;
  for (const auto& [type, value, binary] : std::vector<std::tuple<std::uint32_t, std::string, bool>>{
           {25, address, false}, {25, "to " + address + " now", true}, {114, R"({"a":"jane@example.com"})", false}, {3802, "\1{\"a\":\"jane@example.com\"}", true}, {1009, "{a,jane@example.com}", false}, {1009, array, true}, {2249, "(1,jane@example.com)", false}, {2249, record, true}}) {
    auto rows = RowMask::make(masked.masking, nullptr, {{"a", 9, 1, type, 0}}, {static_cast<std::int16_t>(binary)});
    enforce::MaskCounts counts;
    std::string out;
    const auto changed = rows->apply(row({value}), counts, out);
    ASSERT_TRUE(changed && *changed) << type;
    EXPECT_EQ(out.find("jane"), std::string::npos) << type;
    const auto head = back_head(out);
    EXPECT_EQ(out.size(), kHead + (*head)->length);
  }
}

TEST(Rows, ARowThatIsNotWhatItSaysIsRefused) {
  Case masked({"email"}, MaskWith::Redact);
  auto rows = RowMask::make(masked.masking, nullptr, {{"a", 9, 1, 25, 0}, {"x", 7, 2, 25, 0}}, {});
  enforce::MaskCounts counts;
  const auto good = row({"one", "two"});
  for (std::size_t n = 0; n < good.size(); ++n) {
    std::string out;
    EXPECT_FALSE(rows->apply(good.substr(0, n), counts, out)) << n;
  }
  std::string out;
  EXPECT_FALSE(rows->apply(good + "x", counts, out));
  EXPECT_FALSE(rows->apply(row({"one"}), counts, out));
  EXPECT_FALSE(rows->apply("\0\2\xff\xff\xff\xfe\0\0\0\0"s, counts, out));
}

TEST(CopyRows, ColumnsAreMaskedInTextCsvAndBinary) {
  Case masked({"email"}, MaskWith::Redact);
  sql::Analysis analysis;
  analysis.outputs = {{0, 1, 2}};
  for (const bool plain : {false, true}) {
    // What a query made of a masked value has a type that nobody tells: it is NULL.
    auto flow = *masked.masking->flow;
    flow.types = {0, plain ? 25u : 0u, 0};
    auto masking = *masked.masking;
    masking.flow = std::make_shared<const sql::Flow>(flow);
    auto copy = CopyMask::make(std::make_shared<const enforce::SqlMasking>(masking), analysis, nullptr);
    ASSERT_TRUE(copy);
    enforce::MaskCounts counts;
    std::string out;
    ASSERT_TRUE((*copy)->apply("1\tsecret\tx\n", counts, out));
    EXPECT_EQ(out.substr(kHead), plain ? "1\t[masked]\tx\n" : "1\t\\N\tx\n");
  }
  const auto through = [&](const std::string& body) {
    auto copy = CopyMask::make(masked.masking, analysis, nullptr);
    EXPECT_TRUE(copy);
    enforce::MaskCounts counts;
    std::string out;
    const auto changed = (*copy)->apply(body, counts, out);
    EXPECT_TRUE(changed) << (changed ? "" : changed.error().what);
    return changed && *changed ? out.substr(kHead) : body;
  };
  EXPECT_EQ(through("1\tsec\\tret\tjane@example.com\n"), "1\t[masked]\t[email]\n");
  EXPECT_EQ(through("1\t\\N\tplain\n"), "1\t\\N\tplain\n");
  analysis.copy_format = "csv";
  analysis.copy_delimiter = ',';
  analysis.copy_null = "";
  EXPECT_EQ(through("1,\"se,\"\"cret\",x\n"), "1,\"[masked]\",x\n");
  EXPECT_EQ(through("1,,x\n"), "1,,x\n");
  analysis.copy_format = "binary";
  const std::string head("PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19);
  EXPECT_EQ(through(head + row({"a", "secret", "b"})), head + row({"a", "[masked]", "b"}));
  auto copy = CopyMask::make(masked.masking, analysis, nullptr);
  enforce::MaskCounts counts;
  std::string out;
  EXPECT_FALSE((*copy)->apply("no copy", counts, out));
}

}  // namespace
}  // namespace sallyport::protocol::postgres
