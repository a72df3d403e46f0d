#include "cli/client.h"

#include <curl/curl.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "cli/command.h"

namespace sallyport::cli {
namespace {

constexpr std::size_t kMaxAnswer = 16u << 20;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

Result<std::string> read_token(const ClientOptions& options) {
  std::string token = options.token_file.empty() ? environment("SALLYPORT_TOKEN") : "";
  const std::string file = !options.token_file.empty() ? options.token_file : environment("SALLYPORT_TOKEN_FILE");
  if (token.empty() && !file.empty()) {
    std::ifstream in(file);
    if (!in) return fail(ErrorKind::Denied, "cannot read the token file " + file);
    token.assign(std::istreambuf_iterator<char>(in), {});
  }
  if (token.empty() && file.empty()) {
    std::ifstream in(login_token_path());
    if (in) token.assign(std::istreambuf_iterator<char>(in), {});
  }
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r' || token.back() == ' ')) token.pop_back();
  if (token.empty()) return fail(ErrorKind::Denied, "not signed in: run sallyport login, or set SALLYPORT_TOKEN or SALLYPORT_TOKEN_FILE");
  return token;
}

std::size_t collect(char* data, std::size_t size, std::size_t count, void* into) {
  auto& out = *static_cast<std::string*>(into);
  if (out.size() + size * count > kMaxAnswer) return 0;
  out.append(data, size * count);
  return size * count;
}

struct Curl {
  Curl() : handle(curl_easy_init()) {}
  ~Curl() {
    curl_slist_free_all(headers);
    curl_easy_cleanup(handle);
  }
  Curl(const Curl&) = delete;
  CURL* handle;
  curl_slist* headers = nullptr;
};

}  // namespace

std::string login_token_path() {
  const auto state = environment("XDG_STATE_HOME"), home = environment("HOME");
  if (!state.empty()) return state + "/sallyport/token";
  return home.empty() ? "" : home + "/.local/state/sallyport/token";
}

Result<std::string> Client::token() const { return read_token(options_); }

std::string Client::url() const {
  std::string url = options_.url.empty() ? environment("SALLYPORT_URL") : options_.url;
  while (url.ends_with('/')) url.pop_back();
  return url;
}

Result<Client::Raw> Client::send(const std::string& method, const std::string& path, const std::string& body, const char* type, bool with_token, long timeout_seconds) {
  const auto url = this->url();
  if (url.empty()) return fail(ErrorKind::Unavailable, "which gateway? set SALLYPORT_URL to its admin address, such as https://127.0.0.1:9443");
  const std::string ca = options_.ca.empty() ? environment("SALLYPORT_CA") : options_.ca;
  Curl curl;
  std::string answer;
  char why[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(curl.handle, CURLOPT_URL, (url + path).c_str());
  curl_easy_setopt(curl.handle, CURLOPT_CUSTOMREQUEST, method.c_str());
  curl_easy_setopt(curl.handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl.handle, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl.handle, CURLOPT_CONNECTTIMEOUT, 10L);
  curl_easy_setopt(curl.handle, CURLOPT_TIMEOUT, timeout_seconds);
  curl_easy_setopt(curl.handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.handle, CURLOPT_ERRORBUFFER, why);
  curl_easy_setopt(curl.handle, CURLOPT_WRITEFUNCTION, collect);
  curl_easy_setopt(curl.handle, CURLOPT_WRITEDATA, &answer);
  if (!ca.empty()) curl_easy_setopt(curl.handle, CURLOPT_CAINFO, ca.c_str());
  if (with_token) {
    TRY(const auto token, read_token(options_));
    curl.headers = curl_slist_append(curl.headers, ("Authorization: Bearer " + token).c_str());
  }
  if (!body.empty()) {
    curl.headers = curl_slist_append(curl.headers, (std::string("Content-Type: ") + type).c_str());
    curl_easy_setopt(curl.handle, CURLOPT_POSTFIELDS, body.c_str());
    curl_easy_setopt(curl.handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  }
  curl_easy_setopt(curl.handle, CURLOPT_HTTPHEADER, curl.headers);
  if (const auto code = curl_easy_perform(curl.handle); code != CURLE_OK)
    return fail(ErrorKind::Unavailable, "cannot reach the gateway at " + url + ": " + (why[0] != 0 ? why : curl_easy_strerror(code)));
  Raw out{0, url, std::move(answer)};
  curl_easy_getinfo(curl.handle, CURLINFO_RESPONSE_CODE, &out.status);
  return out;
}

Result<Reply> Client::reply(Result<Raw> raw) {
  if (!raw) return std::unexpected(std::move(raw).error());
  auto parsed = json::Document::parse(raw->body.empty() ? "null" : std::move(raw->body));
  if (!parsed) return fail(ErrorKind::Malformed, "the answer of " + raw->url + " is no JSON; is SALLYPORT_URL the admin address?");
  Reply reply;
  reply.status = raw->status;
  reply.body = std::move(*parsed);
  return reply;
}

Result<Reply> Client::request(const std::string& method, const std::string& path, const std::string& body, bool with_token, long timeout_seconds) {
  return reply(send(method, path, body, "application/json", with_token, timeout_seconds));
}

Result<Reply> Client::post_form(const std::string& path, const std::string& form) {
  return reply(send("POST", path, form, "application/x-www-form-urlencoded", false, 30));
}

Result<std::string> Client::fetch(const std::string& path, long timeout_seconds) {
  TRY(auto raw, send("GET", path, "", "application/json", true, timeout_seconds));
  if (raw.status < 400) return std::move(raw.body);
  const auto said = json::Document::parse(std::move(raw.body));
  return fail(raw.status < 500 ? ErrorKind::Denied : ErrorKind::Unavailable, said ? std::string(said->root()["detail"].as_string()) : fmt::format("HTTP {}", raw.status));
}

int explain(const Result<Reply>& reply) {
  if (!reply) {
    fmt::print(stderr, "sallyport: {}\n", printable(reply.error().what));
    return reply.error().kind == ErrorKind::Unavailable ? exit_code::kUnreachable : reply.error().kind == ErrorKind::Denied ? exit_code::kUnauthenticated : exit_code::kError;
  }
  if (reply->status < 400) return exit_code::kDone;
  const auto root = reply->body.root();
  fmt::print(stderr, "sallyport: {} (HTTP {}, request {})\n", printable(root["detail"].as_string()), reply->status, printable(root["request_id"].as_string()));
  switch (reply->status) {
    case 401: return exit_code::kUnauthenticated;
    case 403:
    case 409: return exit_code::kDenied;
    case 404: return exit_code::kNotFound;
    case 400: return exit_code::kUsage;
    default: return exit_code::kError;
  }
}

std::string printable(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    // C1 controls in UTF-8 are C2 80 to C2 9F; terminals obey them like ESC sequences.
    const bool c1 = c == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    if (c < 0x20 || c == 0x7F) out += fmt::format("\\x{:02x}", c);
    else if (c1) out += fmt::format("\\u{:04x}", static_cast<unsigned char>(text[++i]));
    else out += text[i];
  }
  return out;
}

}  // namespace sallyport::cli
