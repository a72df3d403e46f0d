#include "protocol/postgres/endpoint.h"

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>

namespace sallyport::protocol::postgres {

using boost::asio::awaitable;

namespace {
constexpr std::int64_t kLogin = 60'000'000'000;   // a person may type a password in it
}

awaitable<Result<std::shared_ptr<Session>>> Endpoint::open(net::Stream& stream, Login& login, LoggedIn in) {
  auto& gate = shared_.services.gate;
  const auto catalog = gate.catalog();
  const auto* target = catalog->find(in.target);
  const auto* server = target == nullptr ? nullptr : std::get_if<target::PostgresTarget>(&target->kind);
  const std::string nobody = "there is no target \"" + in.target + "\" for " + in.who->display();
  if (server == nullptr) {
    co_await login.refuse("3D000", nobody);
    co_return fail(ErrorKind::Denied, "no such target");
  }
  if (in.database.empty()) in.database = server->database;
  if (in.database != server->database && std::ranges::find(server->databases, in.database) == server->databases.end()) {
    co_await login.refuse("3D000", "database \"" + in.database + "\" is not one of target \"" + in.target + "\"");
    co_return fail(ErrorKind::Denied, "no such database");
  }
  auto record = co_await gate.open(in.who, in.target, "postgres\n" + in.database, {stream.peer(), "postgresql", in.software, "", in.cause});
  if (!record) {
    co_await login.refuse(record.error().kind == ErrorKind::Denied ? "3D000" : "58030", record.error().what);
    co_return std::unexpected(std::move(record).error());
  }
  auto parameters = in.parameters;
  parameters.insert(parameters.begin(), {"database", in.database});
  auto upstream = co_await log_in(shared_.services.context, *target, *server, std::move(parameters));
  if (!upstream) {
    co_await login.refuse("08001", "target \"" + in.target + "\" cannot be reached: " + upstream.error().what);
    co_await gate.close(*record, "the target cannot be reached: " + upstream.error().what);
    co_return std::unexpected(std::move(upstream).error());
  }
  // Read now, when it is the first of this worker, so that the first statement need not wait for it. Without it nothing
  // but transaction control is allowed, which the session says when it comes to that.
  (void)co_await shared_.catalogs.get(*target, *server, in.database);
  Session::Begin begin;
  std::string ok, key;
  put_u32(ok, 0);
  put_message(begin.greeting, 'R', ok);
  begin.greeting += upstream->notices;
  for (const auto& [name, value] : upstream->parameters) put_message(begin.greeting, 'S', name + '\0' + value + '\0');
  auto weak = std::make_shared<std::weak_ptr<Session>>();
  auto& context = shared_.services.context;
  begin.key = shared_.cancels.add(in.key_bytes, [weak, &context] {
    boost::asio::post(context, [weak] {
      if (const auto session = weak->lock()) session->cancel();
    });
  });
  put_u32(key, begin.key.pid);
  put_message(begin.greeting, 'K', key + begin.key.secret);
  put_message(begin.greeting, 'Z', "I");
  begin.client = std::move(stream);
  begin.upstream = std::move(*upstream);
  begin.record = std::move(*record);
  begin.catalog = catalog;
  begin.target = target;
  begin.database = in.database;
  auto session = std::make_shared<Session>(shared_, std::move(begin));
  *weak = session;
  co_return session;
}

awaitable<void> Endpoint::serve(net::Stream stream) {
  ++connections_;
  const LoginOptions options = options_;  // a reload may change them meanwhile
  Login login(shared_, stream, options, net::after(kLogin));
  auto in = co_await login.run();
  if (!in) ++refused_;
  if (!in || !*in) co_return;
  if (draining_) {
    co_await login.refuse("57P03", "the gateway stops");
    co_return;
  }
  auto session = co_await open(stream, login, std::move(**in));
  if (!session) {
    ++refused_;
    co_return;
  }
  co_await go_on(std::move(*session));
}

awaitable<void> Endpoint::go_on(std::shared_ptr<Session> session) {
  sessions_.insert(session);
  if (draining_) session->stop(false);
  co_await session->run();
  sessions_.erase(session);
}

awaitable<void> Endpoint::drain(net::Deadline deadline) {
  draining_ = true;
  const auto all = [&](bool now) {
    const auto sessions = sessions_;
    for (const auto& session : sessions) session->stop(now);
  };
  all(false);
  boost::asio::steady_timer timer(shared_.services.context);
  while (!sessions_.empty()) {
    if (net::after(0) >= deadline) all(true);
    timer.expires_after(std::chrono::milliseconds(20));
    boost::system::error_code over;
    co_await timer.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, over));
  }
}

}  // namespace sallyport::protocol::postgres
