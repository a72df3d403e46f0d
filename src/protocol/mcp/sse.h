#pragma once
// Server-sent events (WHATWG HTML §9.2), both ways. Codec: fed with bytes as they come, split anywhere. An event whose
// data is empty is kept when it names an id or a retry time: MCP's resumable streams begin with such a one (SEP-1699).
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sallyport::protocol::mcp {

struct SseEvent {
  std::string event;               // "" is "message"
  std::string data;
  std::optional<std::string> id;
  std::optional<std::string> retry;  // milliseconds, digits only
};

class SseParser {
 public:
  explicit SseParser(std::size_t max_event_bytes) : max_(max_event_bytes) {}
  /// Appends the events that became complete. Errors: Malformed when one is over the limit; the stream is then useless.
  Result<void> feed(std::string_view bytes, std::vector<SseEvent>& out);

 private:
  void line(std::string_view text, std::vector<SseEvent>& out);
  std::size_t max_;
  std::string buffer_;
  SseEvent event_;
  bool has_data_ = false, has_any_ = false, after_cr_ = false, first_ = true;
};

/// The event's bytes; data may hold line breaks.
std::string encode(const SseEvent& event);

}  // namespace sallyport::protocol::mcp
