#pragma once
// What the parts of src/signin share: configuration, providers, grants, and who has arrived and not yet said their last word. The admin
// worker's thread only.
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <set>

#include "identity/attempts.h"
#include "identity/auth_record.h"
#include "signin/browser_flow.h"
#include "signin/clients.h"
#include "signin/grants.h"
#include "signin/sign_in.h"

namespace sallyport::signin {

struct SignIn::State {
  State(Services s, std::shared_ptr<const identity::IdentityConfig> cfg, std::shared_ptr<identity::KeySource> k)
      : services(std::move(s)), config(std::move(cfg)), keys(std::move(k)), timer(services.context) {}

  Services services;
  std::shared_ptr<const identity::IdentityConfig> config;
  std::shared_ptr<identity::KeySource> keys;
  boost::asio::thread_pool pool{2};   // requests to providers block here
  boost::asio::thread_pool strangers{2};  // requests for documents of strangers: they keep nobody from signing in
  Clients clients{strangers, services.oauth, services.clock};
  identity::Attempts registrations{10};   // of one address, a minute
  Grants grants;
  identity::Attempts codes_typed{20};          // device codes that one address tried, a minute
  std::map<std::string, std::int64_t> assertions;  // services' own, by name and `jti`, until they are over
  std::map<std::string, std::int64_t> logouts;  // `jti` of logout tokens, until they are over
  boost::asio::steady_timer timer;              // of recheck()
  bool stopped = false;
  std::function<std::string(const identity::SignIn&)> ends_elsewhere;

  /// Somebody who proved who they are; one that never says a last word is forgotten with its browser's flow.
  struct Arrived {
    identity::PrincipalPtr who;
    Arrival arrival;
    std::int64_t until_mono_ns = 0;
  };
  std::map<std::string, Arrived> arrived;

  bool secure() const { return services.own_origin.starts_with("https:"); }
  OidcProvider provider() { return {pool, keys, services.clock}; }
  const identity::OidcConfig* find_provider(const std::string& name) const;
  std::string callback_url(const std::string& provider) const { return services.own_origin + "/auth/callback/" + provider; }
  std::optional<BrowserFlow> flow_of(const admin::Call& call) const {
    return read_flow(services.directory.vault(), call.request.headers, secure(), services.clock.wall_ns());
  }
  /// The answer with the flow kept in the browser for another ten minutes.
  admin::Answer with(admin::Answer answer, BrowserFlow flow) const;
  admin::Answer choices(std::string_view message, unsigned status = 200) const;

  // sign_in.cpp: the browser's way.
  boost::asio::awaitable<admin::Answer> authorize(admin::Call call);
  boost::asio::awaitable<admin::Answer> device_code(admin::Call call);
  boost::asio::awaitable<admin::Answer> to_provider(admin::Call call);
  boost::asio::awaitable<admin::Answer> callback(admin::Call call);
  boost::asio::awaitable<admin::Answer> password(admin::Call call);
  boost::asio::awaitable<admin::Answer> came(const admin::Call& call, BrowserFlow flow, Arrival arrival);
  boost::asio::awaitable<admin::Answer> ask_last_word(admin::Call call);
  boost::asio::awaitable<admin::Answer> last_word(admin::Call call);
  boost::asio::awaitable<admin::Answer> refused(const admin::Call& call, identity::Reason reason, std::string action);
  identity::SignInTerms terms_of(const admin::Call& call, const Arrived& here, std::int64_t life_ns) const;

  // client_flow.cpp: MCP clients send the browser here, and people say whether they may.
  boost::asio::awaitable<admin::Answer> authorize_client(admin::Call call);
  boost::asio::awaitable<admin::Answer> ask_consent(const admin::Call& call, BrowserFlow flow, identity::PrincipalPtr who);
  boost::asio::awaitable<admin::Answer> answer_client(const admin::Call& call, BrowserFlow flow, Arrived here, bool yes);
  std::string resource_of(std::string text) const;

  // client_tokens.cpp: what MCP clients get, and how it ends.
  boost::asio::awaitable<Result<OAuthClient>> proven_client(const admin::Call& call, const admin::Form& form);
  boost::asio::awaitable<admin::Answer> code_of_client(admin::Call call, admin::Form form);
  boost::asio::awaitable<admin::Answer> refresh(admin::Call call, admin::Form form);
  boost::asio::awaitable<admin::Answer> give_client_tokens(const admin::Call& call, identity::RefreshTerms terms, std::string narrowed);
  boost::asio::awaitable<std::optional<CodeGrant>> spend_code(const admin::Call& call, const admin::Form& form, const std::string& client);
  boost::asio::awaitable<admin::Answer> register_client(admin::Call call);
  boost::asio::awaitable<admin::Answer> revoke_by_client(admin::Call call);
  boost::asio::awaitable<admin::Answer> list_consents(admin::Call call);
  boost::asio::awaitable<admin::Answer> withdraw_consent(admin::Call call);

  // connect.cpp: accounts of people at targets.
  boost::asio::awaitable<admin::Answer> begin_connect(admin::Call call);
  boost::asio::awaitable<admin::Answer> go_to_upstream(const admin::Call& call, BrowserFlow flow, bool yes);
  boost::asio::awaitable<admin::Answer> connected(admin::Call call);
  boost::asio::awaitable<admin::Answer> list_connections(admin::Call call);
  boost::asio::awaitable<admin::Answer> disconnect(admin::Call call);

  // token_endpoint.cpp: the program's way.
  boost::asio::awaitable<admin::Answer> token(admin::Call call);
  boost::asio::awaitable<admin::Answer> begin_device(admin::Call call);
  boost::asio::awaitable<admin::Answer> give_token(const admin::Call& call, std::string sign_in);
  admin::Answer metadata() const;

  // service_grants.cpp: services and agents.
  boost::asio::awaitable<admin::Answer> client_credentials(admin::Call call, admin::Form form);
  boost::asio::awaitable<admin::Answer> workload(admin::Call call, admin::Form form);
  boost::asio::awaitable<admin::Answer> exchange(admin::Call call, admin::Form form);
  boost::asio::awaitable<identity::Judged<std::string>> judge_client_assertion(const admin::Form& form);
  boost::asio::awaitable<identity::Judged<std::string>> judge_workload(std::string assertion);
  boost::asio::awaitable<admin::Answer> give_service_token(const admin::Call& call, const admin::Form& form, std::string service, std::string method);
  std::optional<admin::Answer> narrow(const admin::Form& form, identity::TokenTerms& terms) const;
  boost::asio::awaitable<admin::Answer> refuse_grant(const admin::Call& call, identity::Reason reason, const char* error, std::string action);
  admin::Answer token_answer(Result<identity::IssuedToken> issued, std::string_view more) const;
  bool first_time(const std::string& id, std::int64_t until_wall_ns);

  // ending.cpp: how a sign-in ends.
  boost::asio::awaitable<admin::Answer> logout(admin::Call call);
  boost::asio::awaitable<admin::Answer> back_channel(admin::Call call);
  boost::asio::awaitable<bool> confirm(identity::SignIn sign_in, bool silent);
};

constexpr const char* kClientId = "sallyport-cli";

/// A code_challenge of S256.
bool is_challenge(std::string_view text);
/// The page for who comes without a sign-in under way.
admin::Answer not_begun();
void add_client_routes(SignIn::State& state, admin::Routes& out);
void add_connect_routes(SignIn::State& state, admin::Routes& out);

}  // namespace sallyport::signin
