// Statements of other protocols' clients: each is a client of this door for as long as it runs. See endpoint.h, inner_client.h.
#include <sys/socket.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "protocol/postgres/endpoint.h"
#include "protocol/postgres/inner_client.h"

namespace sallyport::protocol::postgres {

using boost::asio::awaitable;

namespace {

constexpr std::int64_t kOpen = 60'000'000'000;
constexpr std::size_t kMaxParameters = 65'535;

/// What is told as a refusal before there is a session: the statement makes no sense here.
std::optional<DatabaseAnswer::Refusal> unfit(const DatabaseCall& call, sql::Shapes& shapes) {
  if (call.text.find('\0') != std::string::npos) return DatabaseAnswer::Refusal{"22021", "the statement has a NUL in it", "", ""};
  for (const auto& value : call.parameters)
    if (value && value->find('\0') != std::string::npos) return DatabaseAnswer::Refusal{"22021", "a parameter has a NUL in it", "", ""};
  if (call.parameters.size() > kMaxParameters) return DatabaseAnswer::Refusal{"54023", "too many parameters", "", ""};
  const auto analysis = shapes.find(call.text);
  if (!analysis) return std::nullopt;  // the session says what is wrong with it
  if ((*analysis)->copies_in || (*analysis)->copies_out)
    return DatabaseAnswer::Refusal{"0A000", "COPY is not offered here", "", "Use SELECT and INSERT, or a PostgreSQL client at the gateway's own port."};
  return std::nullopt;
}

}  // namespace

awaitable<void> Endpoint::serve_inner(std::shared_ptr<Session> session, std::shared_ptr<DatabaseStop> stop) {
  co_await go_on(std::move(session));
  stop->stop = nullptr;
}

/// The columns' types by name, as the catalog's snapshot has them.
awaitable<void> Endpoint::name_types(const DatabaseCall& call, const std::vector<std::uint32_t>& types, DatabaseAnswer& answer) {
  const auto catalog = shared_.services.gate.catalog();
  const auto* target = catalog->find(call.target);
  const auto* server = target == nullptr ? nullptr : std::get_if<target::PostgresTarget>(&target->kind);
  if (server == nullptr) co_return;
  const auto schema = co_await shared_.catalogs.get(*target, *server, call.database.empty() ? server->database : call.database);
  if (!schema) co_return;
  for (std::size_t i = 0; i < types.size() && i < answer.columns.size(); ++i)
    if (const auto at = (*schema)->types.find(types[i]); at != (*schema)->types.end()) answer.columns[i].type = at->second.name;
}

awaitable<Result<DatabaseAnswer>> Endpoint::run(DatabaseCall call, std::shared_ptr<DatabaseStop> stop) {
  DatabaseAnswer answer;
  if (answer.refused = unfit(call, shared_.shapes); answer.refused) co_return answer;
  if (draining_) co_return fail(ErrorKind::Unavailable, "the gateway stops");
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) co_return fail(ErrorKind::Unavailable, "no more files may be opened");
  ++connections_;
  net::Stream served(shared_.services.context, ends[0]);
  served.name_peer(call.peer);
  InnerClient client(net::Stream(shared_.services.context, ends[1]), call);
  // The refusals of open() are told on the stream, as to any client: they are read from there.
  const LoginOptions options = options_;
  Login login(shared_, served, options, net::after(kOpen));
  LoggedIn in;
  in.who = call.who;
  in.target = call.target;
  in.database = call.database;
  in.software = call.software;
  in.cause = call.cause;
  in.parameters = {{"client_encoding", "UTF8"}, {"DateStyle", "ISO"}, {"application_name", "sallyport " + call.cause}};
  if (call.read_only) in.parameters.emplace_back("default_transaction_read_only", "on");
  auto session = co_await open(served, login, std::move(in));
  if (!session) {
    ++refused_;
    co_return std::unexpected(std::move(session).error());
  }
  answer.session = (*session)->record_id();
  const auto abandon = [weak = std::weak_ptr<Session>(*session), &client] {
    if (const auto running = weak.lock()) running->abandon();
    client.close();
  };
  stop->stop = abandon;
  const std::shared_ptr<void> over(nullptr, [&](void*) { stop->stop = nullptr; });  // the client is of this frame
  boost::asio::co_spawn(shared_.services.context, serve_inner(*session, stop), boost::asio::detached);
  session->reset();
  if (stop->stopped) stop->now();
  auto got = co_await client.run();
  if (!got) abandon();  // it may have been silent for too long
  if (stop->stopped) co_return fail(ErrorKind::Disconnected, "nobody waits for the answer any more");
  if (!got) co_return std::unexpected(std::move(got).error());
  got->session = std::move(answer.session);
  co_await name_types(call, client.types(), *got);
  co_return got;
}

}  // namespace sallyport::protocol::postgres
