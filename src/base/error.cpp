#include "base/error.h"

namespace sallyport {

const char* to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::Malformed: return "malformed";
    case ErrorKind::Denied: return "denied";
    case ErrorKind::Disconnected: return "disconnected";
    case ErrorKind::Overloaded: return "overloaded";
    case ErrorKind::Unavailable: return "unavailable";
    case ErrorKind::Internal: return "internal";
  }
  return "internal";
}

}  // namespace sallyport
