// How a modern client waits for a human (docs/protocols/mcp.md, "Held calls"): as a task when it knows tasks, else on its stream, and when
// that takes too long with a URL to open or the words of a refusal. And how its own human is led to connect an account. See session.h.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "base/text.h"
#include "protocol/mcp/modern_answer.h"
#include "protocol/mcp/session.h"

namespace sallyport::protocol::mcp {

using boost::asio::awaitable;

namespace {

constexpr std::int64_t kShortestRound = 1'000'000'000;  // each is an entry, however short the rule's hold is
constexpr std::string_view kWithUrls = "2025-11-25";  // the legacy revision that has them
constexpr int kUrlNeeded = -32042;

}  // namespace

bool Session::knows_tasks() const {
  const auto capabilities = json::Document::parse(client_capabilities_);
  return capabilities && capabilities->root()["extensions"][kTasks].valid();
}

/// A call that may take as long as a human does. Its client is answered with a task in the moment it is held; the call goes on by itself.
awaitable<void> Session::post_as_task(std::shared_ptr<ClientStream> client, Message message) {
  struct Work {
    explicit Work(boost::asio::io_context& context) : changed(context, std::chrono::steady_clock::time_point::max()) {}
    boost::asio::steady_timer changed;
    bool held = false, finished = false, cancelled = false;
    std::string approval, task;
  };
  const auto self = shared_from_this();
  if (!co_await fits(*client, message)) co_return;
  const auto work = std::make_shared<Work>(services_.context);
  const std::string id = message.id_text(), text(message.text());
  const auto mirrored = message.mirrored;
  client->on_hold([work](const std::string& approval) {
    work->held = true;
    work->approval = approval;
    work->changed.cancel();
  });
  auto until_done = [](std::shared_ptr<Session> session, std::shared_ptr<ClientStream> to, std::shared_ptr<Work> state, Message first, std::string again,
                       std::vector<std::pair<std::string, std::string>> headers) -> awaitable<void> {
    bool held = false;
    auto begun = system_clock().mono_ns();
    co_await session->call(*to, std::move(first), &held);
    // Each hold ends in time; the request lives on, and the same call attaches to it, until somebody answers or it expires.
    while (std::exchange(held, false) && !state->task.empty() && !state->cancelled && !session->released_ && !session->ended_) {
      if (const auto left = kShortestRound - (system_clock().mono_ns() - begun); left > 0) {
        boost::asio::steady_timer pause(session->services_.context, std::chrono::nanoseconds(left));
        boost::system::error_code ignored;
        co_await pause.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
      }
      begun = system_clock().mono_ns();
      auto same = parse_message(again, From::Client, SIZE_MAX);
      if (!same) break;
      same->mirrored = headers;
      (void)to->take_collected();
      co_await session->call(*to, std::move(*same), &held);
    }
    state->finished = true;
    if (!state->task.empty()) session->held_.settle(state->task, to->take_collected());
    state->changed.cancel();
  };
  boost::asio::co_spawn(services_.context, until_done(self, client, work, std::move(message), text, mirrored), boost::asio::detached);
  while (!work->held && !work->finished) {
    boost::system::error_code ignored;
    co_await work->changed.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
  }
  if (work->finished) co_return co_await client->end_stream();
  work->task = held_.add(*gate_->who, gate_->target, "held for approval, request " + work->approval, [self, work] {
    work->cancelled = true;
    for (const auto& [key, flight] : self->flights_)
      if (flight->hold.approval == work->approval && !flight->running)
        boost::asio::co_spawn(self->services_.context, [](std::shared_ptr<Session> session, std::shared_ptr<Flight> of) -> awaitable<void> {
          co_await session->services_.gate.cancel(of->hold);
        }(self, flight), boost::asio::detached);
  });
  if (work->task.empty()) {
    // Too many: it stays on its stream, as for a client that knows no tasks.
    while (!work->finished) {
      boost::system::error_code ignored;
      co_await work->changed.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
    }
    co_return co_await client->end_stream();
  }
  co_await client->leave(held_.created(work->task, id));
}

/// What leads the client's person to where they connect the account that the target wants: a request for input, or the error of the revision
/// 2025-11-25 that says the same. nullopt when that is not why, or the client cannot be led.
awaitable<std::optional<std::string>> Session::url_to_connect(std::string id, const Flight* flight) {
  const auto* target = services_.gate.catalog()->find(gate_->target);
  const auto capabilities = json::Document::parse(client_capabilities_);
  if (target == nullptr || !capabilities || !capabilities->root()["elicitation"]["url"].valid()) co_return std::nullopt;
  if (front_ == Front::Modern ? flight == nullptr || !may_need_input(flight->method) : asked_version_ != kWithUrls) co_return std::nullopt;
  const auto url = co_await services_.links.where_to_connect(*target, gate_->who->person());
  if (url.empty()) co_return std::nullopt;
  const auto text = "Your account at " + gate_->target + " is not connected. Open the page, connect it, then go on.";
  const auto page = R"("mode":"url","message":)" + json::quote(text) + R"(,"url":)" + json::quote(url);
  if (front_ == Front::Legacy) co_return error_text(id, kUrlNeeded, text, R"({"elicitations":[{"elicitationId":)" + json::quote(random_name("eli_")) + "," + page + "}]}");
  co_return result_text(id, R"({"resultType":"input_required","inputRequests":{"connect":{"method":"elicitation/create","params":{)" + page + R"(}}},"requestState":)" +
                                json::quote(seal_state(services_.vault, services_.worker, state_binding() + hex(flight->arguments), {std::string(kHeldState), true, ""}, system_clock().wall_ns())) + "}");
}

/// A held call whose time on the stream is over: its client may open the request's page and make the call again, which attaches to it.
std::optional<std::string> Session::url_for_held(const Message& message, const Flight& flight, const enforce::Denial& denial) {
  const auto capabilities = json::Document::parse(client_capabilities_);
  if (front_ != Front::Modern || !denial.pending || !may_need_input(message.method) || services_.admin_origin.empty() || !capabilities) return std::nullopt;
  if (!capabilities->root()["elicitation"]["url"].valid()) return std::nullopt;
  const auto text = "This waits for a human's approval (request " + denial.approval + "). Open the page to see how it is answered, then go on.";
  return result_text(message.id.raw(), R"({"resultType":"input_required","inputRequests":{"approval":{"method":"elicitation/create","params":{"mode":"url","message":)" + json::quote(text) +
                                           R"(,"url":)" + json::quote(services_.admin_origin + "/requests/" + denial.approval) + R"(}}},"requestState":)" +
                                           json::quote(sealed_state(flight, {std::string(kHeldState), true, ""})) + "}");
}

}  // namespace sallyport::protocol::mcp
