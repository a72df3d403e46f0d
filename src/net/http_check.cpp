#include "net/http_check.h"

#include <array>

namespace sallyport::net {
namespace {

constexpr bool token_char(unsigned char c) {
  if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')) return true;
  for (const char other : std::string_view("!#$%&'*+-.^_`|~"))
    if (c == static_cast<unsigned char>(other)) return true;
  return false;
}
constexpr auto kToken = [] {
  std::array<bool, 256> table{};
  for (int c = 0; c < 256; ++c) table[static_cast<std::size_t>(c)] = token_char(static_cast<unsigned char>(c));
  return table;
}();

bool same(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const char x = a[i] >= 'A' && a[i] <= 'Z' ? static_cast<char>(a[i] | 0x20) : a[i];
    if (x != b[i]) return false;
  }
  return true;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::unexpected<Error> bad(std::string what) { return fail(ErrorKind::Malformed, std::move(what)); }

struct Framing {
  int lengths = 0, codings = 0, hosts = 0;
};

Result<void> check_field(std::string_view line, Framing& framing) {
  if (line.front() == ' ' || line.front() == '\t') return bad("a header field is folded over two lines");
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return bad("a header line has no colon");
  const auto name = line.substr(0, colon);
  if (!is_token(name)) return bad("a header name is not a token");
  const auto value = trimmed(line.substr(colon + 1));
  if (!is_field_value(value)) return bad("a header value has a control character");
  if (same(name, "content-length")) {
    if (++framing.lengths > 1) return bad("Content-Length is given twice");
    if (value.empty() || value.size() > 18 || value.find_first_not_of("0123456789") != std::string_view::npos) return bad("Content-Length is not a number");
  } else if (same(name, "transfer-encoding")) {
    if (++framing.codings > 1 || !same(value, "chunked")) return bad("Transfer-Encoding other than chunked");
  } else if (same(name, "host")) {
    if (++framing.hosts > 1) return bad("Host is given twice");
    if (value.find_first_of(" \t/@?#") != std::string_view::npos) return bad("Host is not a host");
  }
  return {};
}

Result<Framing> check_fields(std::string_view head) {
  Framing framing;
  for (;;) {
    const auto end = head.find("\r\n");
    if (end == std::string_view::npos) return bad("the head does not end");
    const auto line = head.substr(0, end);
    if (line.empty()) break;
    TRY_VOID(check_field(line, framing));
    head.remove_prefix(end + 2);
  }
  if (framing.lengths != 0 && framing.codings != 0) return bad("both Content-Length and Transfer-Encoding");
  return framing;
}

/// Every CR is followed by an LF, every LF preceded by a CR, and there is no NUL.
Result<void> check_lines(std::string_view head) {
  for (std::size_t i = 0; i < head.size(); ++i) {
    if (head[i] == '\r' && (i + 1 == head.size() || head[i + 1] != '\n')) return bad("a bare CR in the head");
    if (head[i] == '\n' && (i == 0 || head[i - 1] != '\r')) return bad("a bare LF in the head");
    if (head[i] == '\0') return bad("a NUL in the head");
  }
  return {};
}

}  // namespace

std::size_t head_end(std::string_view bytes) {
  const auto at = bytes.find("\r\n\r\n");
  return at == std::string_view::npos ? at : at + 4;
}

bool is_token(std::string_view name) {
  if (name.empty()) return false;
  for (const char c : name)
    if (!kToken[static_cast<unsigned char>(c)]) return false;
  return true;
}

bool is_field_value(std::string_view value) {
  for (const char c : value) {
    const auto u = static_cast<unsigned char>(c);
    if ((u < 0x20 && u != '\t') || u == 0x7F) return false;
  }
  return true;
}

Result<void> check_request_head(std::string_view head) {
  TRY_VOID(check_lines(head));
  const auto end = head.find("\r\n");
  const auto line = head.substr(0, end);
  const auto first = line.find(' ');
  const auto second = first == std::string_view::npos ? first : line.find(' ', first + 1);
  if (second == std::string_view::npos || line.find(' ', second + 1) != std::string_view::npos) return bad("the request line is not METHOD TARGET VERSION");
  if (!is_token(line.substr(0, first))) return bad("the method is not a token");
  const auto target = line.substr(first + 1, second - first - 1);
  if (!target.starts_with('/')) return bad("the request target must be a path");
  for (const char c : target)
    if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7F || c == '#') return bad("the request target has a character that is not allowed");
  const auto version = line.substr(second + 1);
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return bad("the version is not HTTP/1.1 or HTTP/1.0");
  TRY(const auto framing, check_fields(head.substr(end + 2)));
  if (framing.hosts == 0 && version == "HTTP/1.1") return bad("the Host header is missing");
  if (framing.codings != 0 && version == "HTTP/1.0") return bad("Transfer-Encoding in HTTP/1.0");
  return {};
}

Result<void> check_answer_head(std::string_view head) {
  TRY_VOID(check_lines(head));
  const auto end = head.find("\r\n");
  if (!head.starts_with("HTTP/1.1 ") && !head.starts_with("HTTP/1.0 ")) return bad("the answer is not HTTP/1.1 or HTTP/1.0");
  TRY([[maybe_unused]] const auto framing, check_fields(head.substr(end + 2)));
  return {};
}

}  // namespace sallyport::net
