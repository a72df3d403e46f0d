#include "protocol/mcp/carried_state.h"

#include <cstdlib>

#include "base/bytes.h"

namespace sallyport::protocol::mcp {
namespace {
constexpr std::string_view kPrefix = "sp1.";
}

std::string seal_state(const identity::Vault& vault, std::size_t worker, const std::string& bound_to, const CarriedState& carried, std::int64_t now_wall_ns) {
  const auto front = std::string(kPrefix) + std::to_string(worker) + ".";
  const auto inner = std::to_string(now_wall_ns + kStateLives) + "\n" + carried.approved + "\n" + (carried.of_target ? "=" : "-") + carried.state;
  return front + base64url(vault.seal(front + "\n" + bound_to, inner));
}

Result<CarriedState> open_state(const identity::Vault& vault, const std::string& bound_to, std::string_view sealed, std::int64_t now_wall_ns) {
  const auto wrong = [] { return fail(ErrorKind::Malformed, "requestState is not of this request: it was made for other arguments or another person, has been changed, or is too old"); };
  const auto dot = sealed.starts_with(kPrefix) ? sealed.find('.', kPrefix.size()) : std::string_view::npos;
  if (dot == std::string_view::npos) return wrong();
  const auto bytes = from_base64url(sealed.substr(dot + 1));
  if (!bytes) return wrong();
  const auto inner = vault.unseal(std::string(sealed.substr(0, dot + 1)) + "\n" + bound_to, *bytes);
  if (!inner) return wrong();
  const auto first = inner->find('\n');
  const auto second = first == std::string::npos ? first : inner->find('\n', first + 1);
  if (second == std::string::npos || second + 1 == inner->size()) return wrong();
  if (std::strtoll(inner->c_str(), nullptr, 10) < now_wall_ns) return wrong();
  return CarriedState{inner->substr(second + 2), (*inner)[second + 1] == '=', inner->substr(first + 1, second - first - 1)};
}

}  // namespace sallyport::protocol::mcp
