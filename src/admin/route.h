#pragma once
// One line of the admin listener's route table: where, who may, what goes in and out, and what is done. Every folder that serves
// something there returns such lines (request_routes(), token_routes(), …) and Admin::add takes them before the first connection.
// The table is also what the API's description is made of. Handlers run on the admin worker's thread, one a connection at a time.
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <map>
#include <optional>
#include <variant>

#include "admin/problem.h"
#include "admin/roles.h"
#include "identity/principal.h"

namespace sallyport::admin {

/// A request with what its route needs. `request` lives until the answer is out.
struct Call {
  const net::HttpRequest& request;
  std::string path;                          // as sent, without the query
  std::map<std::string, std::string> params; // of the pattern, decoded; never empty
  Form query;
  std::string peer, request_id;
  identity::PrincipalPtr who;                // null on a route without sign-in
  Powers powers;                             // what they may do now
  std::vector<std::string> roles;            // and under which names

  const std::string& param(const std::string& name) const { return params.at(name); }
  std::string query_value(std::string_view name) const { return std::string(form_value(query, name)); }
};

using Handler = std::function<boost::asio::awaitable<Answer>(Call)>;
/// Writes its own answer (begin, chunk, end; client_gone says when nobody listens any more), and yields nullopt then; or an Answer, when
/// nothing has been written. Headers: full_headers().
using StreamHandler = std::function<boost::asio::awaitable<std::optional<Answer>>(Call, net::HttpServerConnection&)>;

/// Which Origin header a request may bear. The API takes none: browsers do not call it across sites, and have no token.
enum class Origins : std::uint8_t {
  Refused,
  Own,   // none, or gateway.admin_url's: pages of ours
  Any,   // a form that another site posts: SAML responses
};

struct Parameter {
  std::string_view name, about;
  std::string_view schema = R"({"type":"string"})";  // JSON Schema
};

struct Route {
  std::string method;                        // "GET" answers HEAD too
  std::string pattern;                       // "/api/requests/{id}/approve"; a last "{name...}" takes the rest of the path, undecoded
  Permission need = Permission::Open;
  std::string action = {};                   // what a refusal is called in the record; "" = method and pattern, and none of a GET
  std::string summary;                       // a sentence
  std::string takes, gives;                  // a schema's name (schemas.h), a JSON Schema written out, or a media type; "" = no body
  unsigned status = 200;                     // of success
  std::vector<Parameter> query = {};         // what may stand behind the '?'
  bool any_query = false;                    // others' protocols: unknown names are let pass
  Origins origins = Origins::Refused;
  std::size_t body_bytes = 64u << 10;
  std::variant<Handler, StreamHandler> handler;
};
using Routes = std::vector<Route>;

}  // namespace sallyport::admin
