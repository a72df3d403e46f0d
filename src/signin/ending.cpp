// How a sign-in ends before its time: the person logs out, the provider says so (back-channel), the provider no longer confirms it, or has not
// been able to for longer than the configuration allows.
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "signin/pages.h"
#include "signin/state.h"

namespace sallyport::signin {

using admin::Answer;
using admin::Call;
using admin::form_value;
using boost::asio::awaitable;
using identity::Reason;

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::size_t kAtOnce = 64;          // sign-ins asked about in one look
constexpr std::size_t kMaxLogouts = 100'000;

std::string text_of(const std::string& secrets, std::string_view name) {
  const auto document = json::Document::parse(secrets.empty() ? "{}" : secrets);
  return document ? std::string(document->root()[name].as_string()) : std::string();
}

}  // namespace

awaitable<Answer> SignIn::State::logout(Call call) {
  const auto sign_in = call.who->sign_in;
  identity::Revocation what;
  what.id = sign_in;
  std::string provider_url;
  if (sign_in.empty()) {
    // A token of its own: it is all there is to end.
    what.id = co_await services.directory.id_of(call.who->credential);
    if (what.id.empty()) co_return admin::problem(409, "nothing to end", "this token is the provider's own: it ends when the provider says so", call.request_id);
  } else if (auto kept = co_await services.directory.find_sign_in(sign_in); kept && *kept) {
    if (const auto* provider_config = find_provider((*kept)->provider)) {
      const auto config_now = *provider_config;
      if (auto known = co_await keys->metadata(config_now.issuer)) provider_url = identity::end_session_url(**known, text_of((*kept)->secrets, "id_token"), config_now.client_id, "");
    } else if (ends_elsewhere) {
      provider_url = ends_elsewhere(**kept);
    }
  }
  auto ended = co_await services.directory.revoke(std::move(what), call.who->subject, "logout");
  if (!ended) co_return admin::problem_of(ended.error(), call.request_id);
  co_return admin::json_answer(fmt::format(R"({{"ended":{},"provider_logout":{}}})", *ended, json::quote(provider_url)));
}

/// Back-Channel Logout 1.0 §2.5 to §2.8.
awaitable<Answer> SignIn::State::back_channel(Call call) {
  constexpr auto kAction = "logout.back-channel";
  auto form = admin::read_form(call.request);
  const auto* found = find_provider(call.param("provider"));
  const auto wrong = [&](Reason reason) -> awaitable<Answer> {
    const auto error = co_await services.authenticator.failed(reason, kAction, call.peer);
    co_return admin::json_answer(R"({"error":"invalid_request"})", error.kind == ErrorKind::Denied ? 400 : 503);
  };
  if (!form || found == nullptr) co_return co_await wrong(Reason::Malformed);
  const auto config_now = *found;
  auto token = co_await provider().logout(config_now, std::string(form_value(*form, "logout_token")));
  if (!token) co_return co_await wrong(token.error());
  const auto now = services.clock.wall_ns();
  std::erase_if(logouts, [&](const auto& one) { return one.second <= now; });
  if (logouts.size() >= kMaxLogouts || !logouts.emplace(config_now.issuer + "\n" + token->id, token->expires_wall_ns).second) co_return co_await wrong(Reason::Replayed);
  identity::Revocation what;
  if (!token->session.empty()) {
    what.provider = config_now.name;
    what.provider_session = token->session;
  } else {
    what.issuer = config_now.issuer;
    what.subject = token->subject;
  }
  auto ended = co_await services.directory.revoke(std::move(what), "", "logged out at " + config_now.name);
  if (!ended) {
    logouts.erase(config_now.issuer + "\n" + token->id);  // the provider may try again
    co_return admin::problem_of(ended.error(), call.request_id);
  }
  co_return admin::json_answer("{}");
}

/// False when the provider gave no verdict; `silent`: it is known not to answer.
awaitable<bool> SignIn::State::confirm(identity::SignIn sign_in, bool silent) {
  const auto* found = find_provider(sign_in.provider);
  identity::Revocation what;
  what.id = sign_in.id;
  if (found == nullptr) {
    (void)co_await services.directory.revoke(std::move(what), "", "its provider is no longer configured");
    co_return true;
  }
  const auto config_now = *found;
  auto person = services.directory.find(sign_in.issuer + "\n" + sign_in.subject);
  if (!person) co_return true;
  (void)co_await services.directory.tried(sign_in.id);
  identity::Judged<Arrival> said = std::unexpected(Reason::KeysUnavailable);
  if (!silent) said = co_await provider().refresh(config_now, sign_in.secrets, *person);
  if (said) {
    if (auto learned = co_await services.directory.learn(said->person, "refresh"); !learned) co_return true;
    (void)co_await services.directory.confirmed(sign_in.id, said->secrets);
    co_return true;
  }
  const bool no_verdict = said.error() == Reason::KeysUnavailable || said.error() == Reason::StateUnavailable;
  if (no_verdict) {
    const bool too_long = config->unconfirmed_ns != 0 && services.clock.wall_ns() - sign_in.checked_wall_ns > config->unconfirmed_ns;
    if (too_long) (void)co_await services.directory.revoke(std::move(what), "", config_now.name + " could not be asked for too long");
    co_return false;
  }
  (void)co_await services.directory.revoke(std::move(what), "", config_now.name + " no longer confirms it: " + std::string(to_string(said.error())));
  co_return true;
}

awaitable<void> SignIn::recheck() {
  const auto state = state_;
  while (!state->stopped) {
    const auto every = state->config->recheck_ns;
    state->timer.expires_after(std::chrono::nanoseconds(std::clamp<std::int64_t>(every / 10, kSecond / 5, 5 * kSecond)));
    boost::system::error_code cancelled;
    co_await state->timer.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, cancelled));
    if (state->stopped) co_return;
    auto due = co_await state->services.directory.to_confirm(state->services.clock.wall_ns() - every, kAtOnce);
    if (!due) continue;
    // A provider that does not answer is asked once a look, not once for each of its people.
    std::set<std::string> silent;
    for (auto& one : *due) {
      if (state->stopped) co_return;
      const auto provider = one.provider;
      if (!co_await state->confirm(std::move(one), silent.contains(provider))) silent.insert(provider);
    }
  }
}

void SignIn::stop() {
  state_->stopped = true;
  state_->timer.cancel();
}

}  // namespace sallyport::signin
