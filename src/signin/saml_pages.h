#pragma once
// The browser's way through a SAML 2.0 provider: /saml/NAME/login, /acs, /metadata and /slo (src/identity/saml_provider.h judges what comes).
// The answer is posted from the provider's page, so the flow's cookie is sent across sites on this way (SameSite=None): SAML needs an
// https admin_url. Who arrives goes on to SignIn's last word. The admin worker's thread; used assertions are remembered in the state database.
#include "identity/saml_provider.h"
#include "signin/sign_in.h"
#include "state/store.h"

namespace sallyport::signin {

class SamlPages {
 public:
  /// `providers` by load_providers().
  using Providers = std::map<std::string, std::shared_ptr<const identity::SamlProvider>>;
  SamlPages(Services services, SignIn& sign_in, state::Store& store, Providers providers, std::vector<identity::SamlConfig> config);
  ~SamlPages();
  /// Errors: as SamlProvider::load.
  static Result<Providers> load_providers(const identity::IdentityConfig& config, const std::string& own_origin);

  /// What it serves at the admin listener. The object outlives them.
  admin::Routes routes();
  /// Where the browser ends this sign-in at its provider; "" when it is no SAML sign-in, or the provider has no such address.
  std::string sign_out_url(const identity::SignIn& sign_in) const;
  /// After a reload. On the admin worker's thread.
  void reconfigure(Providers providers, std::vector<identity::SamlConfig> config);

  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace sallyport::signin
