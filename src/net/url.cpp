#include <charconv>

#include "net/http.h"

namespace sallyport::net {

namespace {

bool is_host(std::string_view host) {
  if (host.empty() || host.size() > 253) return false;
  for (const char c : host)
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '-' || c == '_')) return false;
  return true;
}

bool is_ipv6(std::string_view host) {
  return host.size() >= 2 && host.size() <= 45 && host.find_first_not_of("0123456789abcdefABCDEF:.") == std::string_view::npos && host.find(':') != std::string_view::npos;
}

}  // namespace

Result<Url> parse_url(std::string_view text) {
  const auto bad = [&](const char* why) { return fail(ErrorKind::Malformed, "\"" + std::string(text.substr(0, 200)) + "\" is not a URL we can use: " + why); };
  Url url;
  std::string_view rest = text;
  if (rest.starts_with("https://")) {
    url.tls = true;
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else {
    return bad("it must begin with http:// or https://");
  }
  const auto slash = rest.find_first_of("/?#");
  const auto authority = rest.substr(0, slash);
  const auto target = slash == std::string_view::npos ? std::string_view{} : rest.substr(slash);
  if (authority.find('@') != std::string_view::npos) return bad("it holds user information; use a credential reference");
  if (target.find('#') != std::string_view::npos) return bad("it holds a fragment");
  for (const char c : target)
    if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7F) return bad("its path has a character that must be percent-encoded");
  std::string_view port;
  bool has_port = false;
  if (authority.starts_with('[')) {
    const auto end = authority.find(']');
    if (end == std::string_view::npos || !is_ipv6(authority.substr(1, end - 1))) return bad("its IPv6 address is not valid");
    url.host = std::string(authority.substr(1, end - 1));
    const auto tail = authority.substr(end + 1);
    has_port = !tail.empty();
    if (has_port && tail.front() != ':') return bad("after the address a :port may follow");
    if (has_port) port = tail.substr(1);
  } else {
    const auto colon = authority.find(':');
    url.host = std::string(authority.substr(0, colon));
    has_port = colon != std::string_view::npos;
    if (has_port) port = authority.substr(colon + 1);
    if (!is_host(url.host)) return bad("its host is not valid");
  }
  unsigned number = url.tls ? 443 : 80;
  if (has_port) {
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
    if (error != std::errc() || end != port.data() + port.size() || number == 0 || number > 65535) return bad("its port is not valid");
  }
  url.port = static_cast<std::uint16_t>(number);
  url.authority = std::string(authority);
  url.target = target.empty() ? "/" : target.front() == '?' ? "/" + std::string(target) : std::string(target);
  return url;
}

}  // namespace sallyport::net
