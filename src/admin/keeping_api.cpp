#include "admin/keeping_api.h"

namespace sallyport::admin {

using boost::asio::awaitable;

namespace {

using evidence::Keeping;

/// What is asked, or what is wrong with the asking.
Result<Keeping::Work> read_work(const std::string& verb, const net::HttpRequest& request, evidence::Keeper who) {
  if (verb == "holds") return [](Keeping& keeping) { return keeping.holds(); };
  TRY(const auto body, read_body(request, verb == "prune" ? std::initializer_list<std::string_view>{"basis", "dry_run"}
                                          : verb == "erase" ? std::initializer_list<std::string_view>{"basis", "session", "person"}
                                                            : std::initializer_list<std::string_view>{"basis", "session", "from", "to"}));
  const auto root = body.root();
  for (const auto* key : {"basis", "session", "person", "from", "to"})
    if (root[key].valid() && !root[key].is_string()) return fail(ErrorKind::Malformed, std::string(key) + " is a text");
  if (root["dry_run"].valid() && root["dry_run"].kind() != json::Kind::Bool) return fail(ErrorKind::Malformed, "dry_run is true or false");
  const std::string basis(root["basis"].as_string());
  const bool dry = root["dry_run"].valid() && root["dry_run"].as_bool();
  if (verb == "prune") return [who = std::move(who), basis, dry](Keeping& keeping) { return keeping.prune(who, basis, dry); };
  const std::string person(root["person"].as_string());
  if (verb == "erase" && !person.empty()) {
    if (root["session"].valid()) return fail(ErrorKind::Malformed, "name a session or a person");
    return [who = std::move(who), basis, person](Keeping& keeping) { return keeping.erase_person(who, person, basis); };
  }
  const std::string session(root["session"].as_string());
  const auto id = evidence::session_of(session);
  if (!id && (verb == "erase" || !session.empty())) return fail(ErrorKind::Malformed, "session is the whole id of a session: 32 hexadecimal digits");
  if (verb == "erase") return [who = std::move(who), basis, id](Keeping& keeping) { return keeping.erase(who, *id, basis); };
  const evidence::HoldBounds bounds{id, std::string(root["from"].as_string()), std::string(root["to"].as_string())};
  return [who = std::move(who), basis, bounds, release = verb == "release"](Keeping& keeping) { return keeping.hold(who, bounds, basis, release); };
}

awaitable<Answer> keep(Keeping& keeping, std::string verb, Call call) {
  auto work = read_work(verb, call.request, {call.request_id, call.who->subject, call.who->issuer, call.who->agent, call.peer});
  if (!work) co_return problem_of(work.error(), call.request_id);
  auto done = co_await keeping.run(std::move(*work));
  if (done) co_return json_answer(std::move(*done));
  // The person may; what the log holds says no.
  if (done.error().kind == ErrorKind::Denied) co_return problem(409, "not possible", done.error().what, call.request_id);
  co_return problem_of(done.error(), call.request_id);
}

}  // namespace

Routes keeping_routes(const AdminServices& services) {
  Routes out;
  const auto add = [&](const char* method, std::string verb, Permission need, const char* summary, const char* takes, const char* gives) {
    out.push_back({.method = method, .pattern = "/api/evidence/" + verb, .need = need, .action = "evidence " + verb, .summary = summary, .takes = takes, .gives = gives,
                   .handler = Handler([&services, verb](Call call) { return keep(services.keeping, verb, std::move(call)); })});
  };
  add("GET", "holds", Permission::HoldsRead, "The holds in force.", "", "HoldList");
  add("POST", "hold", Permission::EvidenceKeep, "Keeps a session, or a time, from being pruned.", "HoldRequest", "EntryIndex");
  add("POST", "release", Permission::EvidenceKeep, "Ends a hold.", "HoldRequest", "EntryIndex");
  add("POST", "erase", Permission::EvidenceKeep, "Destroys a session's payload key, or whose a pseudonym is.", "EraseRequest", "Erased");
  add("POST", "prune", Permission::EvidenceKeep, "Prunes what is past its retention.", "PruneRequest", "Pruned");
  return out;
}

}  // namespace sallyport::admin
