#pragma once
// The route table as an OpenAPI 3.1 document (spec.openapis.org/oas/v3.1.0). Pure, any thread.
#include <string>

#include "admin/router.h"

namespace sallyport::admin {

/// JSON. `x-sallyport-permission` is what a route needs, `x-sallyport-role` the role it comes with.
std::string openapi(const Router& router);

}  // namespace sallyport::admin
