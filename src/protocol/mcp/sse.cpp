#include "protocol/mcp/sse.h"

#include <algorithm>

namespace sallyport::protocol::mcp {

Result<void> SseParser::feed(std::string_view bytes, std::vector<SseEvent>& out) {
  while (!bytes.empty()) {
    if (after_cr_ && bytes.front() == '\n') bytes.remove_prefix(1);
    after_cr_ = false;
    const auto end = bytes.find_first_of("\r\n");
    const auto piece = bytes.substr(0, end);
    if (buffer_.size() + piece.size() + event_.data.size() > max_)
      return fail(ErrorKind::Malformed, "a server-sent event is over " + std::to_string(max_) + " bytes");
    if (end == std::string_view::npos) {
      buffer_.append(piece);
      break;
    }
    if (buffer_.empty()) {
      line(piece, out);
    } else {
      buffer_.append(piece);
      line(buffer_, out);
      buffer_.clear();
    }
    after_cr_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
  }
  return {};
}

void SseParser::line(std::string_view text, std::vector<SseEvent>& out) {
  if (std::exchange(first_, false) && text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (text.empty()) {
    if (has_data_ && event_.data.ends_with('\n')) event_.data.pop_back();
    if (has_any_) out.push_back(std::move(event_));
    event_ = {};
    has_data_ = has_any_ = false;
    return;
  }
  if (text.front() == ':') return;
  const auto colon = text.find(':');
  const auto name = text.substr(0, colon);
  auto value = colon == std::string_view::npos ? std::string_view{} : text.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (name == "data") {
    event_.data.append(value).push_back('\n');
    has_data_ = has_any_ = true;
  } else if (name == "event") {
    event_.event = value;
  } else if (name == "id" && value.find('\0') == std::string_view::npos) {
    event_.id = std::string(value);
    has_any_ = true;
  } else if (name == "retry" && !value.empty() && std::ranges::all_of(value, [](char c) { return c >= '0' && c <= '9'; })) {
    event_.retry = std::string(value);
    has_any_ = true;
  }
}

std::string encode(const SseEvent& event) {
  std::string out;
  out.reserve(event.data.size() + 64);
  if (!event.event.empty()) out.append("event: ").append(event.event).append("\n");
  if (event.id) out.append("id: ").append(*event.id).append("\n");
  if (event.retry) out.append("retry: ").append(*event.retry).append("\n");
  std::string_view rest = event.data;
  for (;;) {
    const auto end = rest.find_first_of("\r\n");
    out.append("data: ").append(rest.substr(0, end)).append("\n");
    if (end == std::string_view::npos) break;
    const bool crlf = rest[end] == '\r' && end + 1 < rest.size() && rest[end + 1] == '\n';
    rest.remove_prefix(end + (crlf ? 2 : 1));
  }
  return out.append("\n");
}

}  // namespace sallyport::protocol::mcp
