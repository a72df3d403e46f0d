#include "admin/roles.h"

namespace sallyport::admin {

const char* to_string(Permission permission) {
  switch (permission) {
    case Permission::Open: return "none";
    case Permission::SignedIn: return "signed-in";
    case Permission::EvidenceRead: return "evidence.read";
    case Permission::EvidenceKeep: return "evidence.keep";
  }
  return "";
}

}  // namespace sallyport::admin
