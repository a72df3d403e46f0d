// Rows and COPY data under masks: whatever comes, the result is a row of the same shape or an error, and a masked column's
// own bytes never leave.
#include <cstdint>

#include "protocol/postgres/rows.h"

using namespace sallyport;
using namespace sallyport::protocol::postgres;

namespace {

enforce::SqlMaskingPtr masking() {
  static enforce::MaskRule rule;
  rule.id = "pii";
  rule.with = enforce::MaskWith::Redact;
  rule.detect = {"email", "pan", "iban", "ssn", "phone", "ip", "jwt", "aws_key", "private_key"};
  auto out = std::make_shared<enforce::SqlMasking>();
  out->masker = std::make_shared<const enforce::Masker>(std::vector<const enforce::MaskRule*>{&rule});
  out->rules = {&rule};
  auto columns = std::make_shared<sql::MaskedColumns>();
  columns->tables[7][2] = 0;
  out->columns = columns;
  auto flow = std::make_shared<sql::Flow>();
  flow->touches = true;
  flow->columns = {-1, 0, -1, -1};
  out->flow = flow;
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto kMasking = masking();
  static constexpr std::uint32_t kTypes[] = {25, 114, 3802, 1009, 2249, 23, 20, 1700, 17, 142, 600, 1082, 99999};
  if (size < 4) return 0;
  const std::uint32_t type = kTypes[data[0] % std::size(kTypes)];
  const bool binary = data[1] & 1;
  const std::string_view body(reinterpret_cast<const char*>(data + 2), size - 2);
  enforce::MaskCounts counts;
  auto rows = RowMask::make(kMasking, nullptr, {{"a", 9, 1, type, 0}, {"b", 7, 2, 25, 0}, {"c", 0, 0, type, 0}}, {static_cast<std::int16_t>(binary)});
  std::string out = "before";
  const auto changed = rows->apply(body, counts, out);
  if (changed && !*changed && out != "before") __builtin_trap();
  if (changed && *changed) {
    const auto head = back_head(std::string_view(out).substr(6));
    if (!head || !*head || out.size() != 6 + kHead + (*head)->length) __builtin_trap();
    // Masked again, it still is a row.
    std::string again;
    if (!rows->apply(std::string_view(out).substr(6 + kHead), counts, again)) __builtin_trap();
  }
  sql::Analysis analysis;
  analysis.outputs = {{0, 1, 2, 3}};
  analysis.copy_format = data[1] & 2 ? "binary" : data[1] & 4 ? "csv" : "text";
  if (data[1] & 4) analysis.copy_delimiter = ',', analysis.copy_null = "";
  if (auto copy = CopyMask::make(kMasking, analysis, nullptr)) {
    std::string copied;
    (void)(*copy)->apply(body, counts, copied);
  }
  return 0;
}
