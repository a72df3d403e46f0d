#include "base/secret.h"

#include <cstdlib>
#include <fstream>
#include <iterator>

namespace sallyport {

Result<std::string> SecretRef::read() const {
  if (from == From::Env) {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr || *value == '\0')
      return fail(ErrorKind::Unavailable, "the environment variable " + name + " is not set; it should hold a secret");
    return std::string(value);
  }
  if (from == From::File) {
    std::ifstream in(name, std::ios::binary);
    if (!in) return fail(ErrorKind::Unavailable, "cannot read the secret file " + name);
    std::string value{std::istreambuf_iterator<char>(in), {}};
    if (value.ends_with('\n')) value.pop_back();
    return value;
  }
  return fail(ErrorKind::Internal, "a secret was read that the configuration does not name");
}

}  // namespace sallyport
