#include "cli/config_reader.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <charconv>
#include <filesystem>

#include "net/http.h"

namespace sallyport::cli {
namespace {

bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

}  // namespace

bool is_loopback_host(const std::string& host) {
  in_addr v4{};
  in6_addr v6{};
  if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  if (::inet_pton(AF_INET6, host.c_str(), &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6);
  return host == "localhost";
}

bool parse_listen(const std::string& text, bool& loopback) {
  const auto colon = text.rfind(':');
  if (colon == std::string::npos) return false;
  auto host = text.substr(0, colon);
  const auto port = text.substr(colon + 1);
  unsigned number = 0;
  const auto [end, failed] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (failed != std::errc() || end != port.data() + port.size() || number > 65535) return false;
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (bracketed) host = host.substr(1, host.size() - 2);
  in_addr v4{};
  in6_addr v6{};
  if (bracketed ? ::inet_pton(AF_INET6, host.c_str(), &v6) != 1 : ::inet_pton(AF_INET, host.c_str(), &v4) != 1) return false;
  loopback = is_loopback_host(host);
  return true;
}

std::string ConfigReader::beside(const std::string& path) const {
  return (std::filesystem::path(folder_) / path).lexically_normal().string();
}

void ConfigReader::conceal(const yaml::Node& node) {
  if (node.kind == yaml::Node::Kind::Scalar) diagnostics_.conceal(node.place, node.scalar);
  for (const auto& item : node.items) conceal(item);
  for (const auto& member : node.members) {
    static const std::set<std::string, std::less<>> kOpen = {"env", "file", "groups", "service", "url", "ca", "methods", "era", "server_requests", "extensions", "timeout", "max_message", "trust",
                                                             "host", "port", "database", "databases", "user", "tls", "connect", "max_statement", "max_masked_row",
                                                             "commit", "functions", "grant", "issuer", "token_endpoint",
                                                             "authorization_endpoint", "revocation_endpoint", "id", "key_id", "auth", "scopes", "resource", "private_hosts",
                                                             "region", "from", "role", "token_file", "endpoint", "redirect_uris", "transport",
                                                             "network", "directory", "pool", "idle", "limits"};
    if (!kOpen.contains(member.key)) conceal(member.value);
  }
}

void ConfigReader::secret(yaml::Mapping& fields, std::string_view key, SecretRef& out) {
  if (const auto* node = fields.get(key)) secret(*node, key, out);
}

void ConfigReader::secret(const yaml::Node& node, std::string_view key, SecretRef& out) {
  if (node.kind != yaml::Node::Kind::Mapping) {
    conceal(node);
    return error(node.place, fmt::format("{} is a secret and named by reference only: {{ env: NAME }} or {{ file: PATH }}; "
                                         "its value never stands in this file", key));
  }
  yaml::Mapping fields(node, diagnostics_, key);
  std::string env, file;
  fields.string("env", env);
  fields.string("file", file);
  if (fields.has("env") == fields.has("file")) {
    return error(node.place, fmt::format("{} has exactly one of env and file: {{ env: NAME }} or {{ file: PATH }}", key));
  }
  if (env.empty() && file.empty()) {
    const auto* named = node.find(fields.has("env") ? "env" : "file");
    if (named->kind == yaml::Node::Kind::Scalar) error(named->place, fmt::format("{} names nothing", key));
    return;
  }
  if (!env.empty()) {
    const bool plain = !(env[0] >= '0' && env[0] <= '9') && std::ranges::all_of(env, [](char c) { return is_alphanumeric(c) || c == '_'; });
    if (!plain) {
      conceal(*node.find("env"));
      return error(node.find("env")->place, fmt::format("{}: env is the name of an environment variable (letters, digits, _), not its value", key));
    }
    out = {SecretRef::From::Env, env};
  } else {
    out = {SecretRef::From::File, beside(file)};
  }
}

void ConfigReader::path(yaml::Mapping& fields, std::string_view key, std::string& out) {
  std::string text;
  fields.string(key, text);
  const auto* node = fields.get(key);
  if (!node || node->kind != yaml::Node::Kind::Scalar) return;
  if (text.empty()) return error(node->place, fmt::format("{} is a path, not empty", key));
  out = beside(text);
}

bool ConfigReader::url(const yaml::Node& node, std::string_view key, std::string& out, bool& https, bool& loopback) {
  if (node.kind != yaml::Node::Kind::Scalar) {
    error(node.place, fmt::format("{} is a URL", key));
    return false;
  }
  const std::string_view text = node.scalar;
  const auto scheme = text.find("://");
  const auto authority = scheme == std::string_view::npos ? text : text.substr(scheme + 3, text.find_first_of("/?#", scheme + 3) - scheme - 3);
  if (authority.contains('@')) {
    diagnostics_.conceal(node.place, node.scalar);
    error(node.place, fmt::format("{} has user information before the '@'; credentials are named by reference under credential", key));
    return false;
  }
  const auto parsed = net::parse_url(text);
  if (!parsed) {
    error(node.place, fmt::format("{} is no http or https URL: {}", key, parsed.error().what));
    return false;
  }
  out = node.scalar;
  https = parsed->tls;
  auto host = parsed->host;
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  loopback = is_loopback_host(host);
  return true;
}

void ConfigReader::size(yaml::Mapping& fields, std::string_view key, std::uint64_t& out, std::uint64_t min, std::uint64_t max) {
  const auto* node = fields.get(key);
  if (!node) return;
  static constexpr std::pair<std::string_view, std::uint64_t> kUnits[] = {{"KiB", 1u << 10}, {"MiB", 1u << 20}, {"GiB", 1u << 30}};
  std::uint64_t count = 0, value = 0;
  const auto& text = node->scalar;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), count);
  const auto* unit = std::ranges::find(kUnits, std::string_view(end, text.data() + text.size()), &std::pair<std::string_view, std::uint64_t>::first);
  if (failed != std::errc() || unit == std::end(kUnits) || __builtin_mul_overflow(count, unit->second, &value)) {
    return error(node->place, fmt::format("{} is a size: a whole number and KiB, MiB or GiB, such as 64MiB", key));
  }
  if (value < min || value > max) return error(node->place, fmt::format("{} is a size from {}KiB to {}KiB", key, min >> 10, max >> 10));
  out = value;
}

bool ConfigReader::name(std::string_view what, std::string_view text, yaml::Place at, std::string_view further, std::size_t most) {
  const bool good = !text.empty() && text.size() <= most && is_alphanumeric(text[0]) &&
                    std::ranges::all_of(text, [&](char c) { return is_alphanumeric(c) || further.contains(c); });
  if (!good) error(at, fmt::format("{} has 1 to {} letters, digits and {}, and begins with a letter or digit", what, most, further));
  return good;
}

}  // namespace sallyport::cli
