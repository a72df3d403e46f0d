#include "target/link.h"

#include "base/clock.h"
#include "net/tls.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>

namespace sallyport::target {

using boost::asio::awaitable;

namespace {

constexpr std::string_view kVersion = "sallyport/0.1";

bool same_name(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return (x | 0x20) == (y | 0x20); });
}

}  // namespace

Link::Link(boost::asio::io_context& context, const Target& configured, net::Url url, std::shared_ptr<const net::TlsClient> tls, net::Headers credential,
           identity::UpstreamTokens& tokens)
    : name_(configured.name), url_(url), client_(context, std::move(url), std::move(tls)), credential_(std::move(credential)), tokens_(tokens) {
  const auto& target = std::get<McpTarget>(configured.kind);
  oauth_ = target.oauth;
  if (target.aws) aws_ = std::make_unique<AwsKeySource>(context, *target.aws);
  timeout_ns_ = target.timeout_ns;
}

Result<std::shared_ptr<Link>> Link::open(boost::asio::io_context& context, const Target& configured, identity::UpstreamTokens& tokens) {
  const auto& target = std::get<McpTarget>(configured.kind);
  TRY(auto url, net::parse_url(target.url));
  std::shared_ptr<const net::TlsClient> tls;
  if (url.tls) {
    std::string ca;
    if (!target.ca_file.empty()) {
      std::ifstream in(target.ca_file);
      ca.assign(std::istreambuf_iterator<char>(in), {});
      if (ca.empty()) return fail(ErrorKind::Unavailable, "cannot read the target's CA file " + target.ca_file);
    }
    std::string certificate, key;
    if (target.certificate.set()) {
      TRY(certificate, target.certificate.read());
      TRY(key, target.key.read());
    }
    TRY(auto client, certificate.empty() ? net::TlsClient::create(ca) : net::TlsClient::create(ca, certificate, key));
    tls = std::make_shared<const net::TlsClient>(std::move(client));
  }
  net::Headers credential;
  if (target.bearer.set()) {
    TRY(auto token, target.bearer.read());
    credential.add("Authorization", "Bearer " + token);
  }
  for (const auto& [name, ref] : target.headers) {
    TRY(auto value, ref.read());
    credential.add(name, std::move(value));
  }
  // A line break in a secret would let it add headers of its own.
  for (const auto& [name, value] : credential.all())
    if (value.find_first_of("\r\n") != std::string::npos)
      return fail(ErrorKind::Unavailable, "the credential for header " + name + " holds a line break");
  return std::shared_ptr<Link>(new Link(context, configured, std::move(url), std::move(tls), std::move(credential), tokens));
}

/// What the gateway is to the target, added to one request.
awaitable<Result<net::Headers>> Link::signed_with(net::Headers headers, const std::string& method, const std::string& path, std::string_view body, const std::string& token) {
  for (const auto& [name, value] : credential_.all()) headers.add(name, value);
  if (oauth_) headers.add("Authorization", "Bearer " + token);
  if (!aws_) co_return headers;
  CO_TRY(const auto keys, co_await aws_->keys());
  SigningInput input{method, url_.authority, path, aws_->settings().service, aws_->settings().region, {}, body, system_clock().wall_ns()};
  for (auto& [name, value] : sign_v4(keys, input)) headers.add(std::move(name), std::move(value));
  co_return headers;
}

awaitable<Result<net::HttpExchange>> Link::exchange(const Permit& permit, std::string method, std::string path, net::Headers headers, net::Recall* recall) {
  const auto self = shared_from_this();
  if (permit.target().name != name_)
    co_return fail(ErrorKind::Internal, "a permit for " + permit.target().name + " was used on the link to " + name_);
  static constexpr std::array<std::string_view, 8> kReserved = {"authorization", "cookie", "host", "x-sallyport-request", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token", "proxy-authorization"};
  for (const auto& [name, value] : headers.all())
    for (const auto reserved : kReserved)
      if (same_name(name, reserved)) co_return fail(ErrorKind::Internal, "a session tried to set the header " + name);
  headers.add("User-Agent", std::string(kVersion));
  headers.add("X-Sallyport-Request", permit.request_id());
  // A call that may have reached the target is never sent twice: it could run twice under one permit.
  const bool has_body = method == "POST";
  const auto body = has_body ? std::string_view(permit.bytes()) : std::string_view{};
  for (bool again = false;; again = true) {
    std::string token;
    if (oauth_) {
      CO_TRY(token, co_await tokens_.token(oauth_, name_, permit.person()));
    }
    CO_TRY(const auto complete, co_await signed_with(headers, method, path, body, token));
    auto exchange = co_await client_.send(method, path, complete, body, /*retry_safe=*/!has_body, net::after(timeout_ns_), recall);
    if (!exchange || exchange->status() != 401 || !oauth_) co_return exchange;
    tokens_.refused(name_, permit.person(), token);
    if (again) co_return fail(ErrorKind::Unavailable, "the target refuses the token that its authorization server gave");
    exchange->close();
  }
}

awaitable<Result<net::HttpExchange>> Link::send(Permit permit, std::string method, net::Headers headers, net::Recall* recall) {
  co_return co_await exchange(permit, std::move(method), url_.target, std::move(headers), recall);
}

awaitable<Result<net::HttpExchange>> Link::send_to(std::string path, Permit permit, net::Headers headers, net::Recall* recall) {
  co_return co_await exchange(permit, "POST", std::move(path), std::move(headers), recall);
}

awaitable<Result<net::HttpExchange>> Link::offer(Permit& permit, net::Headers headers) {
  auto mine = std::make_unique<Permit>(std::move(permit));
  auto answer = co_await exchange(*mine, "POST", url_.target, std::move(headers));
  if (answer && (answer->status() == 400 || answer->status() == 404 || answer->status() == 405)) permit = std::move(*mine);
  co_return answer;
}

awaitable<Result<net::HttpExchange>> Link::open_stream(const Permit& permit, net::Headers headers) {
  co_return co_await exchange(permit, "GET", url_.target, std::move(headers));
}

Result<std::string> Link::path_of(std::string_view reference) const {
  const auto unusable = [&] { return fail(ErrorKind::Malformed, "the target named an address that cannot be used: " + std::string(reference.substr(0, 200))); };
  if (std::ranges::any_of(reference, [](char c) { return c <= 0x20 || c == 0x7f; })) return unusable();
  if (reference.contains("://")) {
    const auto url = net::parse_url(reference);
    // The credential goes to the server that was configured and to no other.
    if (!url || url->tls != url_.tls || url->port != url_.port || !same_name(url->host, url_.host)) return unusable();
    return url->target;
  }
  if (reference.empty() || reference.starts_with("//") || reference.contains('#')) return unusable();
  if (reference.front() == '/') return std::string(reference);
  const auto path = url_.target.substr(0, url_.target.find('?'));
  return (reference.front() == '?' ? path : path.substr(0, path.rfind('/') + 1)) + std::string(reference);
}

Result<std::shared_ptr<Link>> Links::get(const Target& target) {
  if (const auto at = links_.find(target.name); at != links_.end()) return at->second;
  TRY(auto link, Link::open(context_, target, tokens_));
  links_[target.name] = link;
  return link;
}

}  // namespace sallyport::target
