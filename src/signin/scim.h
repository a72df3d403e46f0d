#pragma once
// SCIM 2.0 (RFC 7643, RFC 7644): an identity provider says who exists, who is in which group and who has left. Each client of it has a token of its
// own and speaks for one provider's people; what it says counts before any token's claims (identity/directory.h). A change is in the directory,
// and on record, before it is answered. The admin worker's thread; rows on the store's.
#include "admin/route.h"
#include "base/clock.h"
#include "identity/authenticator.h"
#include "signin/scim_rows.h"

namespace sallyport::signin {

class Scim {
 public:
  Scim(identity::Authenticator& authenticator, identity::Directory& directory, state::Store& store, std::string own_origin,
       std::shared_ptr<const identity::IdentityConfig> config, const Clock& clock = system_clock());
  ~Scim();
  /// What it serves at the admin listener. The object outlives them.
  admin::Routes routes();
  /// After a reload. On the admin worker's thread.
  void reconfigure(std::shared_ptr<const identity::IdentityConfig> config);

  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace sallyport::signin
