// Any JSON through every detector and some fields: the result parses, has the same shape, and masks to itself.
#include <cstdlib>

#include "enforce/mask.h"

using namespace sallyport;
using namespace sallyport::enforce;

namespace {

bool same_shape(const json::Value& a, const json::Value& b) {
  const bool number = a.kind() == json::Kind::Int || a.kind() == json::Kind::Double;
  if (number) return b.kind() == json::Kind::Int || b.kind() == json::Kind::Double;
  if (a.kind() != b.kind()) return false;
  if (!a.is_array() && !a.is_object()) return true;
  if (a.size() != b.size()) return false;
  auto other = b.begin();
  for (const auto child : a) {
    if (!same_shape(child, *other)) return false;
    ++other;
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 16'384) return 0;
  static const MaskRule kRule{"r", {"email", "pan", "iban", "ssn", "phone", "ip", "jwt", "aws_key", "private_key"}, {"$.a.b", "$..c", "$.l[*].d"}, MaskWith::Partial};
  static const Masker kMasker({&kRule});
  std::string text(reinterpret_cast<const char*>(data), size);
  MaskCounts counts;
  auto document = json::Document::parse(text);
  if (document) {
    json::Splice splice;
    kMasker.mask_json(document->root(), splice, counts);
    const auto masked = splice.empty() ? text : splice.apply(text);
    auto again = json::Document::parse(masked);
    if (!again || !same_shape(document->root(), again->root())) std::abort();
  }
  kMasker.mask_text(text, counts);
  return 0;
}
