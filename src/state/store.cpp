#include "state/store.h"

#include <sys/stat.h>

#include <boost/asio/executor_work_guard.hpp>
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

}  // namespace sallyport::state
