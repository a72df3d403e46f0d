// Any bytes as an event stream, cut anywhere: the same events as in one piece.
#include <cstdlib>

#include "protocol/mcp/sse.h"

using namespace sallyport::protocol::mcp;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t cut = text.empty() ? 0 : data[0] % (text.size() + 1);
  std::vector<SseEvent> whole, parts;
  SseParser one(1u << 20), two(1u << 20);
  (void)one.feed(text, whole);
  (void)two.feed(text.substr(0, cut), parts);
  (void)two.feed(text.substr(cut), parts);
  if (whole.size() != parts.size()) std::abort();
  for (std::size_t i = 0; i < whole.size(); ++i) {
    if (whole[i].data != parts[i].data || whole[i].id != parts[i].id || whole[i].event != parts[i].event) std::abort();
    (void)encode(whole[i]);
  }
  return 0;
}
