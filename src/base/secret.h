#pragma once
// A secret named by reference: { env: NAME } or { file: PATH }. The value is read when it is needed, never stored in
// the configuration, never printed. Any thread.
#include <string>

#include "base/result.h"

namespace sallyport {

struct SecretRef {
  enum class From { None, Env, File } from = From::None;
  std::string name;  // variable or path (relative paths are resolved against the configuration's folder when loaded)

  bool set() const { return from != From::None; }
  bool operator==(const SecretRef&) const = default;
  /// The value; one trailing newline of a file is dropped. Errors: Unavailable naming the reference, never the value.
  Result<std::string> read() const;
};

}  // namespace sallyport
