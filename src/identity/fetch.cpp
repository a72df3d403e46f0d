// GET for the KeySource's thread and POST to token endpoints, on libcurl.
#include <curl/curl.h>

#include <charconv>
#include <mutex>

#include "base/text.h"
#include "identity/key_source.h"
#include "net/public_address.h"

namespace sallyport::identity {

namespace {

constexpr std::size_t kMaxBody = 1u << 20;

/// A body with its bound.
struct Body {
  std::string& text;
  std::size_t most;
};

using Url = std::unique_ptr<CURLU, decltype(&curl_url_cleanup)>;

std::string part(CURLU* url, CURLUPart which) {
  char* text = nullptr;
  if (curl_url_get(url, which, &text, 0) != CURLUE_OK || text == nullptr) return {};
  std::string value(text);
  curl_free(text);
  return value;
}

bool is_loopback(std::string_view host) {
  if (host == "localhost" || host == "[::1]" || host == "::1") return true;
  // curl's parser has normalised an IPv4 address; a name such as 127.evil.example is none.
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == host.npos;
}

std::size_t write_body(char* data, std::size_t, std::size_t size, void* user) {
  auto& body = *static_cast<Body*>(user);
  if (body.text.size() + size > body.most) return 0;
  body.text.append(data, size);
  return size;
}

/// libcurl asks for a socket to the address that it is about to connect to.
curl_socket_t open_public(void*, curlsocktype, curl_sockaddr* address) {
  if (!net::is_public(&address->addr)) return CURL_SOCKET_BAD;
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

std::size_t read_header(char* data, std::size_t, std::size_t size, void* user) {
  std::string line(data, size);
  for (auto& c : line) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  if (!line.starts_with("cache-control:")) return size;
  auto& age = *static_cast<std::int64_t*>(user);
  if (const auto at = line.find("max-age="); at != line.npos) {
    std::int64_t seconds = 0;
    const auto* from = line.data() + at + 8;
    if (std::from_chars(from, line.data() + line.size(), seconds).ec == std::errc() && seconds >= 0) {
      age = std::min<std::int64_t>(seconds, 86'400) * 1'000'000'000;
    }
  } else if (line.find("no-store") != line.npos || line.find("no-cache") != line.npos) {
    age = 0;
  }
  return size;
}

int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return (*static_cast<const std::function<bool()>*>(user))() ? 1 : 0;
}

void common_options(CURL* c, const std::string& url, const std::string& ca_file, std::int64_t timeout_ns, char* error) {
  curl_easy_setopt(c, CURLOPT_URL, url.c_str());
  curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, url.starts_with("http:") ? "http" : "https");
  curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, static_cast<long>(std::max<std::int64_t>(timeout_ns / 1'000'000, 1)));
  curl_easy_setopt(c, CURLOPT_ERRORBUFFER, error);
  curl_easy_setopt(c, CURLOPT_USERAGENT, "sallyport");
  curl_easy_setopt(c, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (url.starts_with("http:")) curl_easy_setopt(c, CURLOPT_NOPROXY, "*");  // loopback through a proxy is another host's
  // Debian's libcurl keeps its folder of system anchors beside the file that is named here.
  if (!ca_file.empty()) curl_easy_setopt(c, CURLOPT_CAINFO, ca_file.c_str());
}

Result<Fetched> get(const std::string& url, const std::string& ca_file, std::int64_t timeout_ns, const std::function<bool()>& stop) {
  if (!is_safe_url(url)) {
    return fail(ErrorKind::Unavailable, fmt::format("{} is not fetched: only https, or http on loopback, without a user name", url));
  }
  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), curl_easy_cleanup);
  if (!curl) return fail(ErrorKind::Unavailable, "libcurl cannot start");
  Fetched fetched;
  char error[CURL_ERROR_SIZE] = "";
  auto* c = curl.get();
  common_options(c, url, ca_file, timeout_ns, error);
  curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, write_body);
  Body body{fetched.body, kMaxBody};
  curl_easy_setopt(c, CURLOPT_WRITEDATA, &body);
  curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, read_header);
  curl_easy_setopt(c, CURLOPT_HEADERDATA, &fetched.max_age_ns);
  curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(c, CURLOPT_XFERINFODATA, &stop);
  const auto code = curl_easy_perform(c);
  if (code != CURLE_OK) {
    return fail(ErrorKind::Unavailable, fmt::format("GET {}: {}", url, *error != '\0' ? error : curl_easy_strerror(code)));
  }
  long status = 0;
  curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
  if (status != 200) return fail(ErrorKind::Unavailable, fmt::format("GET {}: status {}, 200 is needed", url, status));
  return fetched;
}

}  // namespace

bool host_fits(std::string_view pattern, std::string_view host) {
  if (pattern == "*") return true;
  if (pattern.starts_with("*.")) return host.size() > pattern.size() - 1 && host.ends_with(pattern.substr(1));
  return pattern == host;
}

std::string host_of_url(const std::string& text) {
  Url url(curl_url(), curl_url_cleanup);
  if (!url || curl_url_set(url.get(), CURLUPART_URL, text.c_str(), CURLU_DISALLOW_USER) != CURLUE_OK) return "";
  auto host = ascii_lower(part(url.get(), CURLUPART_HOST));
  return host.starts_with('[') && host.ends_with(']') ? host.substr(1, host.size() - 2) : host;
}

bool is_safe_url(const std::string& text) {
  Url url(curl_url(), curl_url_cleanup);
  if (!url || curl_url_set(url.get(), CURLUPART_URL, text.c_str(), CURLU_DISALLOW_USER) != CURLUE_OK) return false;
  const auto scheme = part(url.get(), CURLUPART_SCHEME);
  return scheme == "https" || (scheme == "http" && is_loopback(part(url.get(), CURLUPART_HOST)));
}

namespace {
/// libcurl's own global state needs its init before the first thread uses it.
void init_curl() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}
}  // namespace

Fetch curl_fetch() {
  init_curl();
  return get;
}

Result<ProviderAnswer> curl_call(const ProviderCall& call) {
  init_curl();
  if (!is_safe_url(call.url)) return fail(ErrorKind::Unavailable, fmt::format("{} is not asked: only https, or http on loopback, without a user name", call.url));
  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), curl_easy_cleanup);
  if (!curl) return fail(ErrorKind::Unavailable, "libcurl cannot start");
  ProviderAnswer answer;
  char error[CURL_ERROR_SIZE] = "";
  auto* c = curl.get();
  common_options(c, call.url, call.ca_file, call.timeout_ns, error);
  const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(curl_slist_append(nullptr, "Accept: application/json"), curl_slist_free_all);
  curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers.get());
  if (!call.form.empty()) {
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, call.form.c_str());
    curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(call.form.size()));
  }
  curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, write_body);
  Body body{answer.body, call.max_bytes};
  curl_easy_setopt(c, CURLOPT_WRITEDATA, &body);
  curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, read_header);
  curl_easy_setopt(c, CURLOPT_HEADERDATA, &answer.max_age_ns);
  const bool trusted = std::ranges::any_of(call.private_hosts, [&](const auto& pattern) { return host_fits(pattern, host_of_url(call.url)); });
  if (call.guarded && !trusted) {
    if (!call.url.starts_with("https:")) return fail(ErrorKind::Unavailable, fmt::format("{} is not asked: only https", call.url));
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, open_public);
  }
  if (!call.user.empty()) {
    curl_easy_setopt(c, CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BASIC));
    curl_easy_setopt(c, CURLOPT_USERNAME, call.user.c_str());
    curl_easy_setopt(c, CURLOPT_PASSWORD, call.password.c_str());
  } else if (!call.bearer.empty()) {
    curl_easy_setopt(c, CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BEARER));
    curl_easy_setopt(c, CURLOPT_XOAUTH2_BEARER, call.bearer.c_str());
  }
  if (const auto code = curl_easy_perform(c); code != CURLE_OK)
    return fail(ErrorKind::Unavailable, fmt::format("{}: {}", call.url, *error != '\0' ? error : curl_easy_strerror(code)));
  curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &answer.status);
  return answer;
}

}  // namespace sallyport::identity
