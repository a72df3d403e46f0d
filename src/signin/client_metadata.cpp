#include "signin/client_metadata.h"

#include <algorithm>

#include "net/http.h"

namespace sallyport::signin {

namespace {

constexpr std::size_t kMaxUri = 512, kMaxUris = 20, kMaxName = 80;
constexpr json::Limits kLimits{.max_bytes = kMaxClientDocument, .max_depth = 8, .max_nodes = 2000};

bool is_loopback(const net::Url& url) { return url.host == "127.0.0.1" || url.host == "::1" || url.host == "localhost"; }

bool is_plain(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7F && c != '"' && c != '<' && c != '>' && c != '\\'; });
}

/// A name for a person's eyes: no control characters, nothing that turns the line around or hides (bidirectional and zero-width marks).
bool is_shown_name(std::string_view text) {
  if (text.size() > kMaxName) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x20 || c == 0x7F) return false;
    if (c == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0) return false;
    if (c == 0xE2 && i + 2 < text.size() && (static_cast<unsigned char>(text[i + 1]) == 0x80 || static_cast<unsigned char>(text[i + 1]) == 0x81)) return false;
    if (c == 0xEF && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) == 0xBB) return false;
  }
  return true;
}

bool names(const json::Value& list, std::string_view wanted) {
  if (!list.is_array()) return false;
  return std::any_of(list.begin(), list.end(), [&](const json::Value& one) { return one.is_string() && one.as_string() == wanted; });
}

/// What both forms share.
Result<ClientMetadata> read_client(const json::Value& root) {
  const auto bad = [](std::string why) { return fail(ErrorKind::Malformed, std::move(why)); };
  if (!root.is_object()) return bad("the client's metadata is no JSON object");
  ClientMetadata out;
  if (const auto name = root["client_name"]; name.valid()) {
    if (!name.is_string() || !is_shown_name(name.as_string())) return bad("client_name is a text of at most 80 bytes without marks that do not show");
    out.name = name.as_string();
  }
  const auto uris = root["redirect_uris"];
  if (!uris.is_array() || uris.size() == 0 || uris.size() > kMaxUris) return bad("redirect_uris is a list of 1 to 20 addresses");
  const auto type = root["application_type"];
  if (type.valid() && type.as_string() != "web" && type.as_string() != "native") return bad("application_type is web or native");
  for (const auto one : uris) {
    std::string uri(one.as_string());
    if (!is_redirect_uri(uri)) return bad("a redirect URI is https, or http on 127.0.0.1, [::1] or localhost, without user and fragment, at most 512 bytes");
    if (type.as_string() == "web" && uri.starts_with("http:")) return bad("an application of type web is redirected to https only");
    out.redirect_uris.push_back(std::move(uri));
  }
  if (const auto grants = root["grant_types"]; grants.valid() && !names(grants, "authorization_code")) return bad("grant_types must name authorization_code");
  if (const auto types = root["response_types"]; types.valid() && !names(types, "code")) return bad("response_types must name code");
  return out;
}

}  // namespace

bool is_redirect_uri(const std::string& uri) {
  if (uri.size() > kMaxUri || !is_plain(uri)) return false;
  const auto url = net::parse_url(uri);
  return url && (url->tls || is_loopback(*url));
}

bool redirect_fits(std::string_view registered, std::string_view given) {
  if (registered == given) return true;
  const auto a = net::parse_url(registered), b = net::parse_url(given);
  return a && b && !a->tls && !b->tls && is_loopback(*a) && a->host == b->host && a->target == b->target && is_redirect_uri(std::string(given));
}

std::string document_id_problem(const std::string& id) {
  if (id.size() > kMaxUri || !is_plain(id) || !id.starts_with("https://")) return "a client id that is an address begins with https:// and has at most 512 bytes";
  const auto url = net::parse_url(id);
  if (!url) return "the client id is no usable address";
  if (url->target == "/" || url->target.find('?') != std::string::npos) return "a client id that is an address has a path and no query";
  for (std::string_view rest = url->target; !rest.empty();) {
    rest.remove_prefix(1);
    const auto part = rest.substr(0, rest.find('/'));
    rest.remove_prefix(part.size());
    if (part == "." || part == "..") return "a client id has no dot segments";
  }
  return "";
}

Result<ClientMetadata> read_client_document(std::string text, const std::string& id) {
  TRY(const auto document, json::Document::parse(std::move(text), kLimits));
  const auto root = document.root();
  if (!root["client_id"].is_string() || root["client_id"].as_string() != id) return fail(ErrorKind::Malformed, "the document's client_id is not the address that it was read from");
  if (root["client_secret"].valid() || root["client_secret_expires_at"].valid()) return fail(ErrorKind::Malformed, "a document that everybody can read has no client_secret");
  const auto method = root["token_endpoint_auth_method"];
  if (method.valid() && method.as_string() != "none") return fail(ErrorKind::Malformed, "token_endpoint_auth_method must be none: the proof is PKCE");
  return read_client(root);
}

Result<ClientMetadata> read_registration(std::string text) {
  TRY(const auto document, json::Document::parse(std::move(text), kLimits));
  // token_endpoint_auth_method: the answer says none, whatever was asked (RFC 7591 §3.2.1).
  return read_client(document.root());
}

std::string registration_text(const ClientMetadata& client, std::string_view id, std::int64_t created_wall_ns) {
  std::string uris;
  for (const auto& one : client.redirect_uris) uris += (uris.empty() ? "" : ",") + json::quote(one);
  std::string out = "{";
  if (!id.empty()) out += fmt::format(R"("client_id":{},"client_id_issued_at":{},)", json::quote(id), created_wall_ns / 1'000'000'000);
  if (!client.name.empty()) out += R"("client_name":)" + json::quote(client.name) + ",";
  return out + fmt::format(R"("redirect_uris":[{}],"grant_types":["authorization_code","refresh_token"],"response_types":["code"],"token_endpoint_auth_method":"none"}})", uris);
}

}  // namespace sallyport::signin
