// How a session begins, its GET stream, and its end. See session.h.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "protocol/mcp/answer.h"
#include "protocol/mcp/session.h"

namespace sallyport::protocol::mcp {

using boost::asio::awaitable;
using enforce::Outcome;

namespace {

constexpr std::int64_t kKeepAlive = 15'000'000'000;
constexpr std::size_t kMaxInitialize = 1u << 20;

std::string software_of(const json::Value& params) {
  const auto info = params["clientInfo"];
  return std::string(info["name"].as_string()).substr(0, 128) + " " + std::string(info["version"].as_string()).substr(0, 64);
}

awaitable<void> answer_json(net::HttpServerConnection& http, unsigned status, std::string text, const std::string& session) {
  net::Headers headers;
  headers.add("Content-Type", "application/json");
  if (!session.empty()) headers.add("Mcp-Session-Id", session);
  (void)co_await http.respond(status, headers, text);
}

/// The one answer in an initialize exchange, whether it came as JSON or as a stream.
awaitable<Result<std::string>> read_answer(net::HttpExchange& exchange, net::Deadline deadline) {
  if (!exchange.headers().get("Content-Type").starts_with("text/event-stream"))
    co_return co_await exchange.read_all(kMaxInitialize, deadline);
  SseParser parser(kMaxInitialize);
  std::vector<SseEvent> events;
  for (;;) {
    CO_TRY(const auto bytes, co_await exchange.read_some(deadline));
    if (bytes.empty()) co_return fail(ErrorKind::Disconnected, "the stream ended before the answer");
    CO_TRY_VOID(parser.feed(bytes, events));
    for (auto& event : events)
      if (event.data.find("\"result\"") != std::string::npos || event.data.find("\"error\"") != std::string::npos)
        co_return std::move(event.data);
    events.clear();
  }
}

}  // namespace

awaitable<bool> Session::begin(net::HttpServerConnection& http, identity::PrincipalPtr who, std::string target, Message message) {
  const auto self = shared_from_this();
  touch();
  const auto id = message.id_text();
  enforce::Gate::Connection connection{http.peer(), "mcp", software_of(message.params), ""};
  auto opened = co_await services_.gate.open(std::move(who), std::move(target), id_, connection);
  if (!opened) {
    const bool denied = opened.error().kind == ErrorKind::Denied;
    co_await answer_json(http, denied ? 404 : 503, error_text(id, denied ? code::kDenied : code::kUnavailable, opened.error().what), "");
    co_return false;
  }
  gate_ = std::move(*opened);
  const auto action = action_of(message, From::Client, {});
  auto verdict = co_await services_.gate.ask(gate_, action, rewrite_initialize(message), message.params, nullptr);
  if (auto* denial = std::get_if<enforce::Denial>(&verdict)) {
    co_await answer_json(http, denial->kind == ErrorKind::Denied ? 403 : 503, denial_text(message, *denial, false), "");
    co_await end("refused", false);
    co_return false;
  }
  auto& allowed = std::get<enforce::Allowed>(verdict);
  enforce::Reply reply;
  reply.result = Outcome::Failed;
  std::string text;
  auto to_target = link();
  auto exchange = to_target ? co_await (*to_target)->send(std::move(allowed.permit), "POST", headers(false))
                            : Result<net::HttpExchange>(std::unexpected(to_target.error()));
  if (!exchange) {
    reply.error = "the target cannot be reached: " + exchange.error().what;
  } else if (auto body = co_await read_answer(*exchange, net::after(silence_limit())); !body) {
    reply.error = "the target's answer was cut short: " + body.error().what;
  } else if (auto answer = parse_message(std::move(*body), From::Server, kMaxInitialize); !answer || answer->id_text() != id) {
    reply.error = "the target answered HTTP " + std::to_string(exchange->status()) + " without an answer to initialize";
  } else if (answer->kind == Message::Kind::Error) {
    reply.error = std::string(answer->error["message"].as_string());
    services_.gate.mask(allowed.running, reply.error);
    text = masked(allowed.running, *answer, answer->error);
  } else if (auto rewritten = rewrite_initialize_answer(*answer); !rewritten) {
    reply.error = rewritten.error().what;
  } else {
    reply.result = Outcome::Ok;
    version_ = std::string(answer->result["protocolVersion"].as_string());
    text = std::move(*rewritten);
    // Instructions are a text of the target's like any other.
    if (auto offered = parse_message(text, From::Server, SIZE_MAX)) text = masked(allowed.running, *offered, offered->result["instructions"]);
    upstream_session_ = std::string(exchange->headers().get("Mcp-Session-Id"));
  }
  const bool ok = reply.result == Outcome::Ok;
  if (text.empty()) text = error_text(id, code::kUnavailable, reply.error + ". Request: " + allowed.running.request_id() + ".");
  services_.gate.observe(allowed.running, text);
  reply.bytes = text.size();
  auto recorded = co_await services_.gate.finish(std::move(allowed.running), std::move(reply));
  if (ok && recorded) {
    enforce::RememberedSession remembered{gate_->who->person(), gate_->who->agent, gate_->target, upstream_session_, version_,
                                          connection.software, gate_->id()};
    recorded = co_await services_.remembered.remember(id_, std::move(remembered));
  }
  if (!recorded) text = error_text(id, code::kUnavailable, "the session cannot be recorded: " + recorded.error().what);
  const bool alive = ok && recorded.has_value();
  co_await answer_json(http, ok && !recorded ? 503 : 200, std::move(text), alive ? id_ : "");
  if (!alive) co_await end("did not begin", true);
  co_return alive;
}

awaitable<Result<void>> Session::resume(identity::PrincipalPtr who, std::string peer, enforce::RememberedSession remembered) {
  const auto self = shared_from_this();
  touch();
  enforce::Gate::Connection connection{std::move(peer), "mcp", remembered.client, remembered.evidence_session};
  CO_TRY(gate_, co_await services_.gate.open(std::move(who), remembered.target, id_, connection));
  upstream_session_ = remembered.upstream_session;
  version_ = remembered.version;
  remembered.evidence_session = gate_->id();
  co_return co_await services_.remembered.remember(id_, std::move(remembered));
}

awaitable<void> Session::listen(net::HttpServerConnection& http, std::string last_event_id) {
  const auto self = shared_from_this();
  touch();
  enforce::McpRequest request;
  request.method = last_event_id.empty() ? "listen" : "resume";
  request.housekeeping = true;
  const enforce::Action action = request;
  auto verdict = co_await services_.gate.ask(gate_, action, "", {}, nullptr);
  if (auto* denial = std::get_if<enforce::Denial>(&verdict)) {
    co_return co_await answer_json(http, denial->kind == ErrorKind::Denied ? 403 : 503,
                                   error_text("", code::kDenied, denial->reason + " Request: " + denial->request_id), "");
  }
  auto& allowed = std::get<enforce::Allowed>(verdict);
  auto running = std::move(allowed.running);
  enforce::Reply reply;
  auto with_id = headers(true);
  if (!last_event_id.empty()) with_id.add("Last-Event-ID", last_event_id);
  auto to_target = link();
  auto exchange = to_target ? co_await (*to_target)->send(std::move(allowed.permit), "GET", std::move(with_id))
                            : Result<net::HttpExchange>(std::unexpected(to_target.error()));
  if (!exchange || exchange->status() != 200 || !exchange->headers().get("Content-Type").starts_with("text/event-stream")) {
    const unsigned status = !exchange ? 502 : exchange->status() == 405 ? 405 : exchange->status() == 404 ? 404 : 502;
    if (status == 404 && !upstream_session_.empty()) lost_ = true;
    reply.result = Outcome::Error;
    reply.error = !exchange ? exchange.error().what : "HTTP " + std::to_string(exchange->status());
    (void)co_await services_.gate.finish(std::move(running), std::move(reply));
    co_return co_await answer_json(http, status, error_text("", code::kUnavailable, "the target offers no stream"), "");
  }

  streams_.insert(&*exchange);
  ClientStream client(http, services_.context, true);
  co_await client.comment("open");
  // Two watchers live as long as the stream: one ends it when the client goes, one keeps idle connections open.
  auto stop = std::make_shared<boost::asio::steady_timer>(services_.context);
  auto done = std::make_shared<bool>(false);
  auto watch = [](net::HttpServerConnection& connection, net::HttpExchange& upstream, std::shared_ptr<bool> over,
                  boost::asio::steady_timer& ended) -> awaitable<void> {
    co_await connection.client_gone();
    if (!*over) upstream.close();
    ended.expires_at(std::chrono::steady_clock::time_point::min());
  };
  auto keep = [](ClientStream& stream, std::shared_ptr<bool> over, std::shared_ptr<boost::asio::steady_timer> timer) -> awaitable<void> {
    while (!*over) {
      timer->expires_after(std::chrono::nanoseconds(kKeepAlive));
      boost::system::error_code stopped;
      co_await timer->async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, stopped));
      if (!stopped && !*over) co_await stream.comment("");
    }
  };
  boost::asio::steady_timer watch_ended(services_.context, std::chrono::steady_clock::time_point::max());
  boost::asio::steady_timer keep_ended(services_.context, std::chrono::steady_clock::time_point::max());
  boost::asio::co_spawn(services_.context, watch(http, *exchange, done, watch_ended), boost::asio::detached);
  boost::asio::co_spawn(services_.context, keep(client, done, stop),
                        [&keep_ended](std::exception_ptr) { keep_ended.expires_at(std::chrono::steady_clock::time_point::min()); });

  const auto* target = settings();
  SseParser parser(target == nullptr ? 1u << 20 : target->max_message);
  std::vector<SseEvent> events;
  bool broken = false;
  while (!broken && !client.gone() && !ended_) {
    auto bytes = co_await exchange->read_some(net::kNever);
    if (!bytes || bytes->empty()) break;
    events.clear();
    if (auto fed = parser.feed(*bytes, events); !fed) {
      reply.result = Outcome::Error;
      reply.error = fed.error().what;
      break;
    }
    for (auto& event : events) {
      if (event.data.empty()) {
        co_await client.event(std::move(event));
        continue;
      }
      auto delivery = co_await from_server(std::move(event.data), running);
      if (!delivery) continue;
      event.data = std::move(delivery->text);
      co_await client.event(std::move(event));
    }
    broken = !(co_await services_.gate.flush(running)).has_value();
    touch();
  }
  *done = true;
  exchange->close();
  stop->cancel();
  boost::system::error_code ignored;
  co_await keep_ended.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
  co_await client.finish();
  http.close();  // wakes the watcher: bytes it may have read would be lost to the next request otherwise
  co_await watch_ended.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
  (void)co_await services_.gate.finish(std::move(running), std::move(reply));
  streams_.erase(&*exchange);
  touch();
}

void Session::close_streams() {
  for (auto* stream : streams_) stream->close();
}

awaitable<bool> Session::end(std::string reason, bool remote) {
  const auto self = shared_from_this();
  if (std::exchange(ended_, true) || !gate_) co_return false;
  // Forgotten first: whatever comes next with this id must not bring it back.
  if (remote) (void)co_await services_.remembered.forget(id_);
  if (remote && !upstream_session_.empty()) {
    auto verdict = co_await services_.gate.own(gate_, "end session", "");
    if (auto* allowed = std::get_if<enforce::Allowed>(&verdict)) {
      enforce::Reply reply;
      auto to_target = link();
      if (to_target) {
        auto exchange = co_await (*to_target)->send(std::move(allowed->permit), "DELETE", headers(true));
        if (exchange) (void)co_await exchange->read_all(kMaxInitialize, net::after(5'000'000'000));
        else reply.error = exchange.error().what;
      }
      if (!reply.error.empty()) reply.result = Outcome::Failed;
      (void)co_await services_.gate.finish(std::move(allowed->running), std::move(reply));
    }
  }
  close_streams();  // each then writes its outcome
  // Outcomes first: the close carries the totals, and nothing of a session comes after it.
  enforce::Reply interrupted;
  interrupted.result = Outcome::Interrupted;
  interrupted.error = reason;
  for (auto& [id, flight] : std::exchange(flights_, {})) {
    if (!flight->running) {
      // Still being judged or held: what it asked for is taken back for good only when the session is gone for good.
      flight->hold.over = true;
      if (remote) co_await services_.gate.cancel(flight->hold);
      continue;
    }
    auto running = std::move(*flight->running);
    flight->running.reset();
    (void)co_await services_.gate.finish(std::move(running), interrupted);
  }
  for (auto& [id, asked] : std::exchange(asked_, {})) (void)co_await services_.gate.finish(std::move(asked.second), interrupted);
  co_await services_.gate.close(gate_, std::move(reason));
  co_return true;
}

}  // namespace sallyport::protocol::mcp
