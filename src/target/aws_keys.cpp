#include "target/aws_keys.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <ctime>
#include <fstream>
#include <iterator>

#include "base/clock.h"
#include "base/json.h"
#include "identity/oidc_sign_in.h"
#include "net/http.h"
#include "net/tls.h"

namespace sallyport::target {

using boost::asio::awaitable;

namespace {

constexpr std::int64_t kSecond = 1'000'000'000, kMinute = 60 * kSecond;
constexpr std::int64_t kWait = 5 * kSecond, kPause = 5 * kSecond, kEarly = 5 * kMinute;
constexpr std::size_t kMaxAnswer = 64u << 10;
constexpr const char* kInstance = "http://169.254.169.254";
constexpr const char* kContainer = "http://169.254.170.2";

std::string environment(const char* name) {
  const char* value = ::getenv(name);
  return value == nullptr ? "" : value;
}

Result<std::string> file_text(const std::string& path) {
  std::ifstream in(path);
  std::string out{std::istreambuf_iterator<char>(in), {}};
  while (out.ends_with('\n') || out.ends_with('\r')) out.pop_back();
  if (out.empty()) return fail(ErrorKind::Unavailable, "cannot read " + path);
  return out;
}

bool is_header_text(std::string_view text) { return text.find_first_of("\r\n") == text.npos; }

/// "2026-11-21T19:00:00Z"; -1 when it is none.
std::int64_t read_time(std::string_view text) {
  std::tm at{};
  const auto* end = ::strptime(std::string(text.substr(0, 19)).c_str(), "%Y-%m-%dT%H:%M:%S", &at);
  return end == nullptr ? -1 : static_cast<std::int64_t>(::timegm(&at)) * kSecond;
}

awaitable<Result<std::string>> ask(boost::asio::io_context& context, std::string method, const std::string& url, net::Headers headers, std::string body) {
  CO_TRY(auto at, net::parse_url(url));
  std::shared_ptr<const net::TlsClient> tls;
  if (at.tls) {
    CO_TRY(auto client, net::TlsClient::create(""));
    tls = std::make_shared<const net::TlsClient>(std::move(client));
  }
  const auto target = at.target;
  net::HttpClient client(context, std::move(at), std::move(tls), 1);
  const auto deadline = net::after(kWait);
  CO_TRY(auto exchange, co_await client.send(method, target, headers, body, true, deadline));
  CO_TRY(auto text, co_await exchange.read_all(kMaxAnswer, deadline));
  if (exchange.status() != 200) co_return fail(ErrorKind::Unavailable, fmt::format("{} {}: status {}", method, url, exchange.status()));
  co_return text;
}

std::string between(std::string_view text, std::string_view tag) {
  const auto open = "<" + std::string(tag) + ">", close = "</" + std::string(tag) + ">";
  const auto from = text.find(open);
  const auto to = from == text.npos ? text.npos : text.find(close, from);
  if (to == text.npos) return "";
  const auto value = text.substr(from + open.size(), to - from - open.size());
  return value.find_first_of("<>& \r\n") == value.npos ? std::string(value) : std::string();
}

Result<RoleKeys> checked(RoleKeys found) {
  const auto& keys = found.keys;
  if (keys.access_key.empty() || keys.secret_key.empty() || found.expires_wall_ns < 0 || !is_header_text(keys.access_key) || !is_header_text(keys.session_token))
    return fail(ErrorKind::Malformed, "the answer holds no keys with an end");
  return found;
}

}  // namespace

Result<RoleKeys> read_role_keys(const std::string& body) {
  TRY(const auto document, json::Document::parse(body));
  const auto root = document.root();
  const auto text = [&](const char* name) { return std::string(root[name].as_string()); };
  return checked({{text("AccessKeyId"), text("SecretAccessKey"), text("Token")}, read_time(text("Expiration"))});
}

Result<RoleKeys> read_sts_keys(std::string_view body) {
  return checked({{between(body, "AccessKeyId"), between(body, "SecretAccessKey"), between(body, "SessionToken")}, read_time(between(body, "Expiration"))});
}

awaitable<Result<RoleKeys>> AwsKeySource::of_instance() {
  const auto base = from_.endpoint.empty() ? std::string(kInstance) : from_.endpoint;
  net::Headers life, token;
  life.add("X-aws-ec2-metadata-token-ttl-seconds", "300");
  CO_TRY(auto session, co_await ask(context_, "PUT", base + "/latest/api/token", std::move(life), ""));
  if (!is_header_text(session)) co_return fail(ErrorKind::Malformed, "the instance's metadata service gave no token");
  token.add("X-aws-ec2-metadata-token", session);
  CO_TRY(auto role, co_await ask(context_, "GET", base + "/latest/meta-data/iam/security-credentials/", token, ""));
  role = role.substr(0, role.find('\n'));
  CO_TRY(const auto body, co_await ask(context_, "GET", base + "/latest/meta-data/iam/security-credentials/" + role, token, ""));
  co_return read_role_keys(body);
}

/// ECS and EKS Pod Identity: the platform says in the environment where, and with which token.
awaitable<Result<RoleKeys>> AwsKeySource::of_container() {
  const auto relative = environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), full = environment("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  if (relative.empty() && full.empty()) co_return fail(ErrorKind::Unavailable, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and _FULL_URI are not set: the gateway does not run in such a container");
  // As AWS's own libraries: in clear to this host and to the platform's two addresses only.
  if (relative.empty()) {
    CO_TRY(const auto at, net::parse_url(full));
    const bool near = at.host.starts_with("127.") || at.host == "localhost" || at.host == "::1" || at.host == "169.254.170.2" || at.host == "169.254.170.23" || at.host == "fd00:ec2::23";
    if (!at.tls && !near) co_return fail(ErrorKind::Unavailable, "AWS_CONTAINER_CREDENTIALS_FULL_URI is http to another host");
  }
  net::Headers headers;
  auto token = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN");
  if (const auto file = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); !file.empty()) {
    CO_TRY(token, file_text(file));
  }
  if (!is_header_text(token)) co_return fail(ErrorKind::Unavailable, "the container's token holds a line break");
  if (!token.empty()) headers.add("Authorization", token);
  CO_TRY(const auto body, co_await ask(context_, "GET", relative.empty() ? full : kContainer + relative, std::move(headers), ""));
  co_return read_role_keys(body);
}

awaitable<Result<RoleKeys>> AwsKeySource::of_web_identity() {
  CO_TRY(const auto token, file_text(from_.token_file));
  const auto base = from_.endpoint.empty() ? "https://sts." + from_.region + ".amazonaws.com" : from_.endpoint;
  net::Headers headers;
  headers.add("Content-Type", "application/x-www-form-urlencoded");
  const auto form = identity::form_encoded({{"Action", "AssumeRoleWithWebIdentity"}, {"Version", "2011-06-15"}, {"RoleArn", from_.role}, {"RoleSessionName", "sallyport"}, {"WebIdentityToken", token}});
  CO_TRY(const auto body, co_await ask(context_, "POST", base + "/", std::move(headers), form));
  co_return read_sts_keys(body);
}

awaitable<Result<RoleKeys>> AwsKeySource::fetch() {
  if (from_.from == AwsCredential::From::Instance) co_return co_await of_instance();
  if (from_.from == AwsCredential::From::Container) co_return co_await of_container();
  if (from_.from == AwsCredential::From::WebIdentity) co_return co_await of_web_identity();
  RoleKeys out;
  CO_TRY(out.keys.access_key, from_.access_key.read());
  CO_TRY(out.keys.secret_key, from_.secret_key.read());
  if (from_.session_token.set()) {
    CO_TRY(out.keys.session_token, from_.session_token.read());
  }
  out.expires_wall_ns = INT64_MAX;
  co_return checked(std::move(out));
}

awaitable<Result<AwsKeys>> AwsKeySource::keys() {
  const auto& clock = system_clock();
  for (;;) {
    if (clock.wall_ns() < until_wall_ns_) co_return known_.keys;
    if (clock.mono_ns() < pause_until_mono_ns_) co_return std::unexpected(last_);
    if (!fetching_) break;
    boost::asio::steady_timer turn(context_, boost::asio::steady_timer::time_point::max());
    waiting_.push_back(&turn);
    boost::system::error_code over;
    co_await turn.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, over));
  }
  fetching_ = true;
  auto got = co_await fetch();
  fetching_ = false;
  for (auto* one : std::exchange(waiting_, {})) one->cancel();
  const auto now = clock.wall_ns();
  if (got) {
    known_ = std::move(*got);
    until_wall_ns_ = known_.expires_wall_ns == INT64_MAX ? INT64_MAX : std::max(known_.expires_wall_ns - kEarly, now + kSecond);
    co_return known_.keys;
  }
  // Keys that still live are better than none.
  if (now < known_.expires_wall_ns) {
    until_wall_ns_ = std::min(known_.expires_wall_ns, now + kPause);
    co_return known_.keys;
  }
  last_ = Error(ErrorKind::Unavailable, "no AWS keys: " + got.error().what);
  pause_until_mono_ns_ = clock.mono_ns() + kPause;
  co_return std::unexpected(last_);
}

}  // namespace sallyport::target
