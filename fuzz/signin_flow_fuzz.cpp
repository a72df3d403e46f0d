// Any Cookie header: no crash, and nothing is taken for a sign-in under way that this gateway did not seal.
#include <cstdint>
#include <cstdlib>

#include "signin/browser_flow.h"
#include "signin/grants.h"

using namespace sallyport;
using namespace sallyport::signin;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto vault = identity::Vault::in_memory();
  const std::string text(reinterpret_cast<const char*>(data), size);
  net::Headers headers;
  headers.add("Cookie", text);
  if (read_flow(vault, headers, true, 1) || read_flow(vault, headers, false, 1)) std::abort();
  const auto code = plain_user_code(text);
  if (!code.empty() && code.size() != 8) std::abort();
  return 0;
}
