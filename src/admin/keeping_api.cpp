#include "admin/keeping_api.h"

#include <algorithm>

namespace sallyport::admin {
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

}  // namespace

bool is_keeping_verb(std::string_view verb) {
  static constexpr std::string_view kVerbs[] = {"erase", "hold", "release", "prune", "holds"};
  return std::ranges::find(kVerbs, verb) != std::end(kVerbs);
}

boost::asio::awaitable<Answer> serve_keeping(Keeping& keeping, std::string verb, const net::HttpRequest& request, evidence::Keeper who) {
  const auto request_id = who.request_id;
  auto work = read_work(verb, request, std::move(who));
  if (!work) co_return problem_of(work.error(), request_id);
  auto done = co_await keeping.run(std::move(*work));
  if (done) co_return json_answer(std::move(*done));
  // The person may; what the log holds says no.
  if (done.error().kind == ErrorKind::Denied) co_return problem(409, "not possible", done.error().what, request_id);
  co_return problem_of(done.error(), request_id);
}

}  // namespace sallyport::admin
