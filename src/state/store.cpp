#include "state/store.h"

#include <sys/stat.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <thread>

#include "state/schema.h"

namespace sallyport::state {

struct Store::State {
  boost::asio::io_context context{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{context.get_executor()};
  std::unique_ptr<Database> database;
  std::thread thread;
};

Store::Store(std::unique_ptr<State> state) : state_(std::move(state)) {
  state_->thread = std::thread([s = state_.get()] { s->context.run(); });
}

Result<std::unique_ptr<Store>> Store::open(const std::string& path) {
  auto state = std::make_unique<State>();
  const auto mask = ::umask(0077);  // at start-up, before the workers: the file and its WAL are for us alone
  auto database = Database::open(path);
  auto migrated = database ? migrate(**database) : Result<void>();
  ::umask(mask);
  if (!database) return std::unexpected(std::move(database).error());
  if (!migrated) return fail(ErrorKind::Unavailable, path + ": " + migrated.error().what);
  state->database = std::move(*database);
  return std::unique_ptr<Store>(new Store(std::move(state)));
}

Store::~Store() {
  state_->work.reset();
  if (state_->thread.joinable()) state_->thread.join();
}

boost::asio::io_context& Store::context() { return state_->context; }

Database& Store::database() { return *state_->database; }

boost::asio::awaitable<void> Store::run_any(std::function<void(Database&)> work) {
  auto task = [](Database& db, std::function<void(Database&)> w) -> boost::asio::awaitable<void> {
    w(db);
    co_return;
  };
  co_await boost::asio::co_spawn(context(), task(database(), std::move(work)), boost::asio::use_awaitable);
}

boost::asio::awaitable<void> Store::host_any(boost::asio::awaitable<void> work) { co_await boost::asio::co_spawn(context(), std::move(work), boost::asio::use_awaitable); }

}  // namespace sallyport::state
