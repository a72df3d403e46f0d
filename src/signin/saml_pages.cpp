#include "signin/saml_pages.h"

#include "signin/browser_flow.h"
#include "signin/pages.h"

namespace sallyport::signin {

using admin::Answer;
using admin::Call;
using admin::form_value;
using boost::asio::awaitable;
using identity::SamlProvider;

namespace {

constexpr std::size_t kBody = 512u << 10;   // an answer of 256 KiB in base64, form-encoded

/// Used assertions as rows: a restart forgets none.
class StoredLedger final : public identity::AssertionLedger {
 public:
  explicit StoredLedger(state::Store& store) : store_(store) {}
  awaitable<Result<bool>> claim(Digest assertion, std::int64_t until_wall_ns, std::int64_t now_wall_ns) override {
    co_return co_await store_.run([=](state::Database& db) -> Result<bool> {
      TRY_VOID(db.prepare("DELETE FROM saml_assertions WHERE until < ?").bind(1, now_wall_ns).run());
      auto insert = db.prepare("INSERT OR IGNORE INTO saml_assertions (hash, until) VALUES (?, ?)");
      TRY_VOID(insert.bind_blob(1, assertion).bind(2, until_wall_ns).run());
      return db.changes() == 1;
    });
  }

 private:
  state::Store& store_;
};

std::string name_json(const identity::SamlNameId& name) {
  return fmt::format(R"({{"saml_name":[{},{},{},{}]}})", json::quote(name.value), json::quote(name.format), json::quote(name.name_qualifier), json::quote(name.sp_name_qualifier));
}

Answer not_known() { return message_page("Not here", "There is no such SAML provider.", 404); }

}  // namespace

struct SamlPages::State {
  State(Services s, SignIn& in, state::Store& store, Providers p, std::vector<identity::SamlConfig> c)
      : services(std::move(s)), sign_in(in), ledger(store), providers(std::move(p)), config(std::move(c)) {}
  Services services;
  SignIn& sign_in;
  StoredLedger ledger;
  Providers providers;
  std::vector<identity::SamlConfig> config;

  bool secure() const { return services.own_origin.starts_with("https:"); }
  std::shared_ptr<const SamlProvider> find(const Call& call) const {
    const auto at = providers.find(call.param("provider"));
    return at == providers.end() ? nullptr : at->second;
  }
  std::optional<BrowserFlow> flow_of(const Call& call) const { return read_flow(services.directory.vault(), call.request.headers, secure(), services.clock.wall_ns()); }
  bool begins_itself(const std::string& name) const {
    const auto at = std::ranges::find(config, name, &identity::SamlConfig::name);
    return at != config.end() && at->idp_initiated;
  }

  awaitable<Answer> metadata(Call call) {
    const auto provider = find(call);
    if (!provider) co_return not_known();
    Answer out;
    out.type = "application/samlmetadata+xml";
    out.body = provider->metadata();
    co_return out;
  }

  awaitable<Answer> login(Call call) {
    const auto provider = find(call);
    auto flow = flow_of(call);
    if (!provider || !flow) co_return message_page("Begin again", "This sign-in is over, or was begun in another browser.", 400);
    flow->state = random_text();
    auto to = provider->sign_in(flow->state, false, services.clock.wall_ns());
    if (!to) co_return message_page("Try again later", provider->name() + " cannot be asked: " + to.error().what + ".", 503);
    flow->provider = provider->name();
    flow->request = to->id;
    flow->arrived.clear();
    flow->expires_wall_ns = services.clock.wall_ns() + kFlowLife;
    auto answer = admin::redirect(to->url);
    answer.headers.add("Set-Cookie", flow_cookie(services.directory.vault(), *flow, secure(), true));
    co_return answer;
  }

  awaitable<Answer> refused(const Call& call, identity::Reason reason) {
    const auto error = co_await services.authenticator.failed(reason, "sign-in.saml", call.peer);
    if (error.kind != ErrorKind::Denied) co_return message_page("Try again later", "You cannot be signed in now. Request " + call.request_id + ".", 503);
    co_return message_page("Not signed in", "This did not prove who you are. Begin again; if it happens once more, tell an administrator: request " + call.request_id + ".", 403);
  }

  awaitable<Answer> consume(Call call) {
    const auto provider = find(call);
    if (!provider) co_return not_known();
    auto form = admin::read_form(call.request);
    if (!form) co_return co_await refused(call, identity::Reason::Malformed);
    auto flow = flow_of(call);
    const bool ours = flow && flow->provider == provider->name() && !flow->request.empty() && form_value(*form, "RelayState") == flow->state;
    if (!ours && !begins_itself(provider->name())) co_return co_await refused(call, identity::Reason::WrongState);
    std::vector<std::string> outstanding;
    if (ours) outstanding.push_back(flow->request);
    const std::string response(form_value(*form, "SAMLResponse"));
    auto who = co_await identity::saml_sign_in(*provider, ledger, response, outstanding, services.clock.wall_ns());
    if (!who) {
      fmt::print(stderr, "sallyport: SAML provider {}: refused: {} ({}), request {}\n", provider->name(), who.error().detail, to_string(who.error().reason), call.request_id);
      co_return co_await refused(call, who.error().reason);
    }
    if (!ours || who->in_response_to.empty()) flow = BrowserFlow{};  // the provider's own beginning: what it is for comes later, as a device's code
    flow->request.clear();
    flow->provider = provider->name();
    Arrival arrival;
    arrival.person.issuer = who->issuer;
    arrival.person.subject = who->subject;
    arrival.person.email = who->email;
    arrival.person.display_name = who->name;
    arrival.person.groups = who->groups;
    arrival.method = "saml-sign-in";
    arrival.provider = provider->name();
    arrival.provider_session = who->session_index;
    arrival.secrets = name_json(who->name_id);
    arrival.expires_wall_ns = who->expires_wall_ns;
    co_return co_await sign_in.arrived(call, std::move(*flow), std::move(arrival));
  }

  /// The provider ends sessions, or says that it ended one that we asked it to.
  awaitable<Answer> logout(Call call) {
    const auto provider = find(call);
    if (!provider) co_return not_known();
    const auto now = services.clock.wall_ns();
    identity::SamlJudged<identity::SamlLogout> said = identity::saml::refuse(identity::Reason::Malformed, "the form was not understood");
    if (call.request.method == "POST") {
      if (auto form = admin::read_form(call.request)) {
        const auto asked = form_value(*form, "SAMLRequest");
        said = provider->read_logout_form(asked.empty() ? form_value(*form, "SAMLResponse") : asked, now);
        if (said) said->relay_state = form_value(*form, "RelayState");
      }
    } else {
      const auto mark = call.request.target.find('?');
      said = provider->read_logout_query(mark == std::string::npos ? std::string_view() : std::string_view(call.request.target).substr(mark + 1), now);
    }
    if (!said) {
      fmt::print(stderr, "sallyport: SAML provider {}: logout refused: {} ({})\n", provider->name(), said.error().detail, to_string(said.error().reason));
      co_return co_await refused(call, said.error().reason);
    }
    if (said->response) co_return message_page("Signed out", said->success ? "You are signed out at the identity provider as well." : "The identity provider did not sign you out everywhere.");
    bool success = true;
    const auto end = [&](identity::Revocation what) -> awaitable<void> {
      const auto ended = co_await services.directory.revoke(std::move(what), "", "logged out at " + provider->name());
      success = success && ended.has_value();
    };
    for (const auto& index : said->session_indexes) {
      identity::Revocation what;
      what.provider = provider->name();
      what.provider_session = index;
      co_await end(std::move(what));
    }
    if (said->session_indexes.empty()) {
      // Everything of that name; where an attribute is the subject, the name is not known to us, and the indexes are needed.
      identity::Revocation what;
      what.issuer = provider->issuer();
      what.subject = said->name_id.value;
      what.sign_ins_only = true;
      co_await end(std::move(what));
    }
    auto back = provider->answer_logout(*said, success, now);
    if (!back) co_return message_page("Signed out", "Your sign-ins here have ended.", success ? 200 : 503);
    co_return admin::redirect(back->url);
  }
};

SamlPages::SamlPages(Services services, SignIn& sign_in, state::Store& store, Providers providers, std::vector<identity::SamlConfig> config)
    : state_(std::make_unique<State>(std::move(services), sign_in, store, std::move(providers), std::move(config))) {}
SamlPages::~SamlPages() = default;

Result<SamlPages::Providers> SamlPages::load_providers(const identity::IdentityConfig& config, const std::string& own_origin) {
  Providers out;
  for (const auto& one : config.saml) {
    if (!own_origin.starts_with("https:")) return fail(ErrorKind::Unavailable, "identity.saml needs an https gateway.admin_url: browsers bring its answers across sites with secure cookies only");
    auto loaded = SamlProvider::load(one, own_origin);
    if (!loaded) return fail(loaded.error().kind, "identity.saml " + one.name + ": " + loaded.error().what);
    out[one.name] = std::move(*loaded);
  }
  return out;
}

std::string SamlPages::sign_out_url(const identity::SignIn& sign_in) const {
  const auto found = state_->providers.find(sign_in.provider);
  const auto kept = json::Document::parse(sign_in.secrets.empty() ? "{}" : sign_in.secrets);
  if (found == state_->providers.end() || !found->second->offers_logout() || !kept || kept->root()["saml_name"].size() != 4) return "";
  identity::SamlNameId name;
  std::string* const parts[] = {&name.value, &name.format, &name.name_qualifier, &name.sp_name_qualifier};
  std::size_t i = 0;
  for (const auto part : kept->root()["saml_name"]) *parts[i++] = part.as_string();
  const auto to = found->second->sign_out(name, sign_in.provider_session, random_text(), state_->services.clock.wall_ns());
  return to ? to->url : "";
}

void SamlPages::reconfigure(Providers providers, std::vector<identity::SamlConfig> config) {
  state_->providers = std::move(providers);
  state_->config = std::move(config);
}

admin::Routes SamlPages::routes() {
  auto* s = state_.get();
  admin::Routes out;
  const auto add = [&](const char* method, const char* tail, const char* summary, awaitable<Answer> (State::*does)(Call), admin::Origins origins) {
    out.push_back({.method = method, .pattern = std::string("/saml/{provider}/") + tail, .summary = summary, .gives = "text/html", .any_query = true, .origins = origins, .body_bytes = kBody,
                   .handler = admin::Handler([s, does](Call call) { return (s->*does)(std::move(call)); })});
  };
  add("GET", "metadata", "Our metadata for a SAML provider.", &State::metadata, admin::Origins::Any);
  add("GET", "login", "On to a SAML provider.", &State::login, admin::Origins::Own);
  add("POST", "acs", "A SAML provider's answer (assertion consumer service).", &State::consume, admin::Origins::Any);
  add("GET", "slo", "Single logout by redirect.", &State::logout, admin::Origins::Any);
  add("POST", "slo", "Single logout by form.", &State::logout, admin::Origins::Any);
  return out;
}

}  // namespace sallyport::signin
