#include "identity/claims.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "identity/scope.h"

namespace sallyport::identity {

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kMaxLeeway = 120 * kSecond;
constexpr std::int64_t kMaxSeconds = 9'000'000'000;  // year 2255; later dates are cut to it, so that sums cannot overflow
constexpr std::size_t kMaxName = 256;

/// NumericDate (RFC 7519 §2), in nanoseconds; fractions are allowed.
std::optional<std::int64_t> numeric_date(const json::Value& value) {
  if (value.kind() == json::Kind::Int) {
    if (value.as_int() < 0) return std::nullopt;
    return std::min(value.as_int(), kMaxSeconds) * kSecond;
  }
  if (value.kind() != json::Kind::Double) return std::nullopt;
  const double seconds = value.as_double();
  if (!std::isfinite(seconds) || seconds < 0) return std::nullopt;
  if (seconds >= static_cast<double>(kMaxSeconds)) return kMaxSeconds * kSecond;
  return static_cast<std::int64_t>(seconds * 1e9);
}

bool has_audience(const json::Value& value, std::string_view audience) {
  if (value.is_string()) return value.as_string() == audience;
  if (!value.is_array()) return false;
  bool found = false;
  for (const auto item : value) {
    if (!item.is_string()) return false;
    found = found || item.as_string() == audience;
  }
  return found;
}

/// The claim of exactly that name ("https://example.com/groups"), else the path through objects ("realm_access.roles").
json::Value claim(const json::Value& payload, std::string_view name) {
  if (const auto exact = payload[name]; exact.valid()) return exact;
  auto value = payload;
  while (true) {
    const auto dot = name.find('.');
    value = value[name.substr(0, dot)];
    if (!value.valid() || dot == name.npos) return value;
    name.remove_prefix(dot + 1);
  }
}

Judged<std::int64_t> check_times(const json::Value& payload, std::int64_t leeway, std::int64_t now) {
  if (!payload["exp"].valid()) return std::unexpected(Reason::NoExpiry);
  const auto expires = numeric_date(payload["exp"]);
  if (!expires) return std::unexpected(Reason::BadTime);
  if (now >= *expires + leeway) return std::unexpected(Reason::Expired);
  for (const auto* name : {"nbf", "iat"}) {
    if (!payload[name].valid()) continue;
    const auto from = numeric_date(payload[name]);
    if (!from) return std::unexpected(Reason::BadTime);
    if (*from > now + leeway) return std::unexpected(Reason::NotYetValid);
  }
  return *expires + leeway;
}

Judged<std::vector<std::string>> read_groups(const json::Value& value) {
  std::vector<std::string> groups;
  if (!value.valid()) return groups;
  if (value.is_string()) {
    groups.emplace_back(value.as_string());
  } else if (value.is_array()) {
    for (const auto item : value) {
      if (!item.is_string()) return std::unexpected(Reason::BadGroups);
      groups.emplace_back(item.as_string());
    }
  } else {
    return std::unexpected(Reason::BadGroups);
  }
  if (!std::ranges::all_of(groups, is_plain_name)) return std::unexpected(Reason::BadGroups);
  std::ranges::sort(groups);
  groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
  return groups;
}

/// What is none is left out: it opens nothing then.
Scopes scopes_of(const json::Value& payload) {
  const auto value = payload["scope"].valid() ? payload["scope"] : payload["scp"];
  if (value.is_string()) return parse_scopes(value.as_string()).value_or(Scopes());
  Scopes out;
  if (value.is_array() && value.size() <= 64)
    for (const auto one : value)
      if (is_scope(one.as_string())) out.emplace_back(one.as_string());
  return sorted_scopes(std::move(out));
}

/// A token that a client got for itself (RFC 9068 §2.2: `sub` is the client then).
bool is_service(const json::Value& payload) {
  const auto subject = payload["sub"];
  if (!subject.is_string()) return false;
  for (const auto* name : {"client_id", "azp"}) {
    if (payload[name].is_string() && payload[name].as_string() == subject.as_string()) return true;
  }
  return payload["gty"].as_string() == "client-credentials";
}

/// Only for display: what does not fit is left out, it decides nothing.
std::string optional_text(const json::Value& value) {
  return is_plain_name(value.as_string()) ? std::string(value.as_string()) : std::string();
}

/// An address that the provider itself calls unverified is somebody's wish, not a name for them.
std::string email_of(const json::Value& payload, const OidcConfig& config) {
  const auto verified = payload["email_verified"];
  const bool wish = verified.valid() && !verified.as_bool() && verified.as_string() != "true";
  return wish ? std::string() : optional_text(claim(payload, config.email_claim));
}

}  // namespace

bool has_claim(const json::Value& payload, std::string_view name) { return claim(payload, name).valid(); }

Judged<void> add_claims(Claims& claims, const json::Value& userinfo, const OidcConfig& config) {
  auto groups = read_groups(claim(userinfo, config.groups_claim));
  if (!groups) return std::unexpected(groups.error());
  claims.groups = std::move(*groups);
  if (claims.email.empty()) claims.email = email_of(userinfo, config);
  if (claims.name.empty()) claims.name = optional_text(claim(userinfo, config.name_claim));
  return {};
}

bool is_plain_name(std::string_view text) {
  if (text.empty() || text.size() > kMaxName) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x20 || c == 0x7F) return false;
    // C1 controls in UTF-8: terminals obey them.
    if (c == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0) return false;
  }
  return true;
}

Judged<Claims> read_claims(const json::Value& payload, const OidcConfig& config, std::int64_t wall_ns) {
  const auto issuer = payload["iss"];
  if (!issuer.is_string() || issuer.as_string() != config.issuer) return std::unexpected(Reason::UnknownIssuer);
  if (!has_audience(payload["aud"], config.audience)) return std::unexpected(Reason::WrongAudience);
  const auto expires = check_times(payload, std::clamp<std::int64_t>(config.leeway_ns, 0, kMaxLeeway), wall_ns);
  if (!expires) return std::unexpected(expires.error());

  Claims claims;
  claims.expires_wall_ns = *expires;
  claims.issued_wall_ns = numeric_date(payload["iat"]).value_or(0);
  const auto subject = claim(payload, config.subject_claim);
  if (!subject.is_string() || !is_plain_name(subject.as_string())) return std::unexpected(Reason::BadSubject);
  claims.subject = subject.as_string();
  auto groups = read_groups(claim(payload, config.groups_claim));
  if (!groups) return std::unexpected(groups.error());
  claims.groups = std::move(*groups);
  // The outermost actor is the one who acts now; nested ones are history (RFC 8693 §4.1).
  if (const auto actor = payload["act"]; actor.valid()) {
    const auto name = actor["sub"];
    if (!name.is_string() || !is_plain_name(name.as_string())) return std::unexpected(Reason::BadActor);
    claims.agent = name.as_string();
  }
  claims.scopes = scopes_of(payload);
  claims.service = is_service(payload);
  claims.email = email_of(payload, config);
  claims.name = optional_text(claim(payload, config.name_claim));
  return claims;
}

}  // namespace sallyport::identity
