// Any bytes as a JSON-RPC message of either side: no crash, and what is accepted has one meaning.
#include <cstdlib>

#include "protocol/mcp/answer.h"
#include "protocol/mcp/message.h"

using namespace sallyport;
using namespace sallyport::protocol::mcp;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const auto from : {From::Client, From::Server}) {
    auto message = parse_message(text, from, 1u << 16);
    if (!message) continue;
    (void)enforce::canonical_of(action_of(*message, from, {"x/y"}));
    if (message->kind == Message::Kind::Request && from == From::Client) {
      // What is sent on in place of a client's initialize must still be the message it was.
      auto again = parse_message(rewrite_initialize(*message), from, 1u << 17);
      if (!again || again->method != message->method || again->id_text() != message->id_text()) std::abort();
      if (again->params["capabilities"]["tasks"].valid()) std::abort();
    }
    if (message->kind == Message::Kind::Response) {
      std::size_t hidden = 0;
      const auto cut = filter_list(*message, *list_kind("tools/list"), [](std::string_view name, const json::Value&) { return name.size() % 2 == 0; }, hidden);
      if (!cut.empty() && !parse_message(cut, from, 1u << 17)) std::abort();
      (void)maskable(message->result);
      (void)text_blobs(message->result);
    }
  }
  (void)split_batch(text, 1u << 16, 32);
  return 0;
}
