#pragma once
// When two accounts are one human: the same issuer and subject, equal e-mail addresses (case does not count), or accounts that
// `identity.same_person` links. It never gives a right, it only takes the second voice away: an approval counts humans,
// not accounts. Immutable once made, any thread.
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "identity/principal.h"

namespace sallyport::identity {

/// What is kept of an account to compare it later: Principal::person() and the e-mail, "" when there is none.
struct Account {
  std::string person, email;
};
Account account_of(const Principal& who);

/// `identity.same_person`, each list the persons (issuer + '\n' + subject) of one human.
class SamePerson {
 public:
  SamePerson() = default;
  explicit SamePerson(const std::vector<std::vector<std::string>>& humans);
  bool linked(const std::string& a, const std::string& b) const;

 private:
  std::map<std::string, std::size_t> human_;
};

bool same_human(const Account& a, const Account& b, const SamePerson& links = {});
bool same_human(const Principal& a, const Principal& b, const SamePerson& links = {});

}  // namespace sallyport::identity
