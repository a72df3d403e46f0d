#include "protocol/mcp/database_back.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "protocol/mcp/database_tools.h"
#include "protocol/mcp/era.h"
#include "protocol/mcp/inbox.h"

namespace sallyport::protocol::mcp {

using boost::asio::awaitable;

namespace {

constexpr std::string_view kServer = R"("_meta":{"io.modelcontextprotocol/serverInfo":{"name":"sallyport-database","version":"1"}})";

std::string complete(std::string_view members) { return R"({"resultType":"complete",)" + std::string(members) + "}"; }

std::string progress(const std::string& token, std::uint64_t step, const std::string& words) {
  return R"({"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":)" + token + R"(,"progress":)" + std::to_string(step) + R"(,"message":)" + json::quote(words) + "}}";
}

/// What a call in flight is read from. The database's own silence is its bound, for a statement that is held may wait longer than a server
/// that says nothing.
class DatabaseAnswers : public InboxAnswers {
 public:
  using InboxAnswers::InboxAnswers;
  awaitable<Result<std::optional<SseEvent>>> next(net::Deadline) override { return InboxAnswers::next(net::kNever); }
};

awaitable<void> run(Databases& databases, DatabaseCall call, std::shared_ptr<DatabaseStop> stop, std::shared_ptr<Inbox> inbox, std::string id, std::string tool) {
  auto answer = co_await databases.run(std::move(call), std::move(stop));
  inbox->put(result_text(id, answer ? database_result(tool, *answer) : database_failure(answer.error())));
  inbox->finish();
}

}  // namespace

Result<std::optional<json::Document>> DatabaseBack::recorded(const Message& message) const {
  if (message.method != "tools/call") return std::nullopt;
  TRY(auto document, database_record(message.params));
  return std::optional(std::move(document));
}

awaitable<Result<std::unique_ptr<Answers>>> DatabaseBack::request(target::Permit permit, const Message&, net::Recall*) {
  const auto* settings = std::get_if<target::McpTarget>(&permit.target().kind);
  if (settings == nullptr || !settings->database) co_return fail(ErrorKind::Unavailable, "the target is no longer configured");
  CO_TRY(const auto message, parse_message(permit.bytes(), From::Client, SIZE_MAX));
  const auto id = message.id_text();
  auto inbox = std::make_shared<Inbox>(context_, settings->max_message);
  auto stop = std::make_shared<DatabaseStop>();
  auto answers = std::make_unique<DatabaseAnswers>(inbox, [stop] { stop->now(); });
  const auto say = [&](std::string text) {
    inbox->put(std::move(text));
    inbox->finish();
  };
  if (message.method == "server/discover") {
    say(result_text(id, complete(R"("supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"private",)" + std::string(kServer))));
  } else if (message.method == "tools/list") {
    say(result_text(id, complete(R"("tools":)" + database_tools(*settings->database) + R"(,"ttlMs":0,"cacheScope":"private")")));
  } else if (message.method == "tools/call") {
    auto call = database_call(message.params, *settings->database);
    if (!call) {
      say(result_text(id, database_failure(call.error())));
      co_return answers;
    }
    call->who = session_->signed_in;
    call->peer = session_->peer;
    call->software = session_->software;
    call->cause = permit.request_id();
    call->silence_ns = settings->timeout_ns;
    if (const auto token = message.params["_meta"]["progressToken"]; token.valid()) {
      call->notice = [inbox, token = std::string(token.raw()), step = std::uint64_t{0}](const std::string& words) mutable {
        if (inbox->has_room()) inbox->put(progress(token, ++step, words));
      };
    }
    boost::asio::co_spawn(context_, run(databases_, std::move(*call), std::move(stop), std::move(inbox), id, std::string(message.params["name"].as_string())), boost::asio::detached);
  } else {
    say(error_text(id, code::kMethodNotFound, "Method not found: " + message.method));
  }
  co_return answers;
}

/// Nothing that has no answer is of use to a database; closing a call's stream takes it back.
awaitable<Result<void>> DatabaseBack::post(target::Permit) { co_return Result<void>{}; }

awaitable<Result<std::unique_ptr<Answers>>> DatabaseBack::listen(target::Permit, std::string) {
  co_return fail(ErrorKind::Unavailable, "a database has nothing to say unasked");
}

awaitable<Result<void>> DatabaseBack::end(target::Permit) { co_return Result<void>{}; }

}  // namespace sallyport::protocol::mcp
