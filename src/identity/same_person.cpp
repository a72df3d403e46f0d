#include "identity/same_person.h"

#include <algorithm>

namespace sallyport::identity {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

}  // namespace

Account account_of(const Principal& who) { return {who.person(), who.email}; }

SamePerson::SamePerson(const std::vector<std::vector<std::string>>& humans) {
  for (std::size_t i = 0; i < humans.size(); ++i)
    for (const auto& person : humans[i]) human_.emplace(person, i);
}

bool SamePerson::linked(const std::string& a, const std::string& b) const {
  const auto one = human_.find(a), other = human_.find(b);
  return one != human_.end() && other != human_.end() && one->second == other->second;
}

bool same_human(const Account& a, const Account& b, const SamePerson& links) {
  if (a.person == b.person) return true;
  if (!a.email.empty() && std::ranges::equal(a.email, b.email, {}, lower, lower)) return true;
  return links.linked(a.person, b.person);
}

bool same_human(const Principal& a, const Principal& b, const SamePerson& links) { return same_human(account_of(a), account_of(b), links); }

}  // namespace sallyport::identity
