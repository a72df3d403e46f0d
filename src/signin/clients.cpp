#include "signin/clients.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "identity/auth_record.h"
#include "identity/key_source.h"

namespace sallyport::signin {

namespace asio = boost::asio;
using asio::awaitable;

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kShortest = 60 * kSecond, kLongest = 86'400 * kSecond, kFailed = 30 * kSecond, kFetch = 5 * kSecond;
constexpr std::size_t kMaxDocuments = 1000;
constexpr int kAtOnce = 2;

Error unknown() { return Error(ErrorKind::Denied, "this program is not known here; ask an administrator to add it"); }

}  // namespace

bool OAuthClient::may_return_to(const std::string& uri) const {
  return std::ranges::any_of(redirect_uris, [&](const auto& one) { return redirect_fits(one, uri); });
}

void Clients::reconfigure(std::shared_ptr<const identity::IdentityConfig> config) {
  config_ = std::move(config);
  documents_.clear();
}

bool Clients::may_fetch(const std::string& id) const {
  const auto& oauth = config_->oauth;
  const auto host = identity::host_of_url(id);
  return std::ranges::any_of(oauth.clients, [&](const auto& one) { return one.id == id; }) ||
         std::ranges::any_of(oauth.document_hosts, [&](const auto& pattern) { return identity::host_fits(pattern, host); });
}

awaitable<Result<ClientMetadata>> Clients::document(const std::string& id, const std::string& peer) {
  const auto now = clock_.mono_ns();
  if (const auto at = documents_.find(id); at != documents_.end() && now < at->second.until_mono_ns) co_return at->second.document;
  if (fetching_ >= kAtOnce || !by_address_.begin(identity::address_of(peer), now)) co_return fail(ErrorKind::Unavailable, "too many programs are looked up now; try again in a minute");
  identity::ProviderCall call;
  call.url = id;
  call.ca_file = config_->oauth.ca_file;
  call.timeout_ns = kFetch;
  call.max_bytes = kMaxClientDocument;
  call.guarded = true;
  call.private_hosts = config_->oauth.private_hosts;
  const auto config = config_;
  auto work = [](identity::ProviderCall what) -> awaitable<Result<identity::ProviderAnswer>> { co_return identity::curl_call(what); };
  ++fetching_;
  auto answer = co_await asio::co_spawn(pool_.get_executor(), work(std::move(call)), asio::use_awaitable);
  --fetching_;
  Result<ClientMetadata> read = fail(ErrorKind::Unavailable, "the program's metadata document cannot be read");
  auto life = kFailed;
  if (answer && answer->status == 200) {
    read = read_client_document(std::move(answer->body), id);
    if (read) life = std::clamp(answer->max_age_ns < 0 ? 3600 * kSecond : answer->max_age_ns, kShortest, kLongest);
    else read = fail(ErrorKind::Denied, "the program's metadata document is not good: " + read.error().what);
  }
  if (config != config_) co_return fail(ErrorKind::Unavailable, "the configuration has changed; try again");
  if (documents_.size() >= kMaxDocuments) std::erase_if(documents_, [&](const auto& one) { return one.second.until_mono_ns <= now; });
  if (documents_.size() >= kMaxDocuments) documents_.erase(documents_.begin());
  documents_.insert_or_assign(id, Kept{read, clock_.mono_ns() + life});
  co_return read;
}

awaitable<Result<OAuthClient>> Clients::find(std::string id, std::string peer) {
  const auto config = config_;
  OAuthClient out{id, id, "", {}, {}, false};
  if (!config->oauth.on || id.empty() || id.size() > 512) co_return std::unexpected(unknown());
  for (const auto& one : config->oauth.clients) {
    if (one.id != id) continue;
    out.agent = out.name = one.name;
    out.redirect_uris = one.redirect_uris;
    out.secret = one.secret;
    out.vouched = true;
    if (!one.redirect_uris.empty()) co_return out;
  }
  if (id.starts_with("https://")) {
    if (!may_fetch(id)) co_return std::unexpected(unknown());
    if (const auto wrong = document_id_problem(id); !wrong.empty()) co_return fail(ErrorKind::Denied, wrong);
    CO_TRY(auto metadata, co_await document(id, peer));
    out.redirect_uris = std::move(metadata.redirect_uris);
    if (!metadata.name.empty()) out.name = metadata.name;
    co_return out;
  }
  if (!config->oauth.registration || !id.starts_with("dcr_")) co_return std::unexpected(unknown());
  CO_TRY(const auto registered, co_await grants_.find_client(id));
  if (!registered) co_return std::unexpected(unknown());
  CO_TRY(auto metadata, read_registration(registered->metadata));
  out.redirect_uris = std::move(metadata.redirect_uris);
  out.name = std::move(metadata.name);
  co_return out;
}

}  // namespace sallyport::signin
