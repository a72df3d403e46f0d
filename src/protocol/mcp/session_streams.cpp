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

/// The one answer in an initialize exchange, whatever comes before it.
awaitable<Result<Message>> read_answer(Answers& answers, const std::string& id, net::Deadline deadline) {
  for (;;) {
    CO_TRY(auto event, co_await answers.next(deadline));
    if (!event) break;
    auto message = parse_message(std::move(event->data), From::Server, kMaxInitialize);
    if (message && message->id.valid() && message->id_text() == id && message->method.empty()) co_return std::move(*message);
  }
  co_return fail(ErrorKind::Unavailable, "the target answered HTTP " + std::to_string(answers.status()) + " without an answer to initialize");
}

}  // namespace

awaitable<bool> Session::begin(const Tell& tell, std::string peer, identity::PrincipalPtr who, std::string target, Message message) {
  const auto self = shared_from_this();
  touch();
  const auto id = message.id_text();
  enforce::Gate::Connection connection{std::move(peer), "mcp", software_of(message.params), ""};
  auto opened = co_await services_.gate.open(std::move(who), std::move(target), id_, connection);
  if (!opened) {
    const bool denied = opened.error().kind == ErrorKind::Denied;
    co_await tell(denied ? 404 : 503, error_text(id, denied ? code::kDenied : code::kUnavailable, opened.error().what), "");
    co_return false;
  }
  gate_ = std::move(*opened);
  asked_version_ = std::string(message.params["protocolVersion"].as_string());
  if (message.params["capabilities"].is_object()) client_capabilities_ = std::string(message.params["capabilities"].raw());
  auto greeted = co_await greet(tell, message);
  if (greeted && greeted->reply.result != Outcome::Ok && co_await turns_out_modern()) {
    (void)co_await services_.gate.finish(std::move(*greeted->running), std::move(greeted->reply));
    greeted = co_await greet(tell, message);
  }
  if (!greeted) {
    co_await end("refused", false);
    co_return false;
  }
  auto& [text, running, reply] = *greeted;
  const bool ok = reply.result == Outcome::Ok;
  if (auto led = text.empty() ? co_await url_to_connect(id, nullptr) : std::nullopt) text = std::move(*led);
  if (text.empty()) text = error_text(id, code::kUnavailable, reply.error + ". Request: " + running->request_id() + ".");
  services_.gate.observe(*running, text);
  reply.bytes = text.size();
  auto recorded = co_await services_.gate.finish(std::move(*running), std::move(reply));
  if (ok && recorded) {
    enforce::RememberedSession remembered{gate_->who->person(), gate_->who->agent, gate_->target, back_->resume_key(), version_,
                                          connection.software, gate_->id()};
    recorded = co_await services_.remembered.remember(id_, std::move(remembered));
  }
  if (!recorded) text = error_text(id, code::kUnavailable, "the session cannot be recorded: " + recorded.error().what);
  const bool alive = ok && recorded.has_value();
  co_await tell(ok && !recorded ? 503 : 200, std::move(text), alive ? id_ : "");
  if (!alive) co_await end("did not begin", true);
  co_return alive;
}

/// Asks the Gate and sends it. An error when the Gate refused: the client has been told.
awaitable<Result<Session::Greeting>> Session::greet(const Tell& tell, const Message& message) {
  const auto id = message.id_text();
  const auto* target = settings();
  // Tasks are of the modern era: of a legacy client's nobody could tell whose they are.
  auto extensions = target == nullptr ? std::vector<std::string>{} : target->extensions;
  std::erase(extensions, kTasks);
  CO_TRY(const auto offered, parse_message(rewrite_initialize(message, target == nullptr ? std::vector<std::string>{} : target->server_requests, extensions), From::Client, SIZE_MAX));
  const auto bytes = greeting(offered);
  const auto action = action_of(message, From::Client, {});
  auto verdict = co_await services_.gate.ask(gate_, action, bytes.value_or(""), message.params, nullptr);
  if (auto* denial = std::get_if<enforce::Denial>(&verdict)) {
    co_await tell(denial->kind == ErrorKind::Denied ? 403 : 503, denial_text(message, *denial, false), "");
    co_return fail(ErrorKind::Denied, denial->reason);
  }
  auto& allowed = std::get<enforce::Allowed>(verdict);
  Greeting out;
  out.reply.result = Outcome::Failed;
  out.running.emplace(std::move(allowed.running));
  Result<std::unique_ptr<Answers>> answers = fail(ErrorKind::Unavailable, bytes ? "" : bytes.error().what);
  if (bytes) answers = co_await back_->request(std::move(allowed.permit), offered);
  if (!answers) {
    failed(*out.running, out.reply, Outcome::Failed, "the target cannot be reached: " + answers.error().what);
  } else if (auto answer = co_await read_answer(**answers, id, net::after(silence_limit())); !answer) {
    failed(*out.running, out.reply, Outcome::Failed, answer.error().what);
  } else if (answer->kind == Message::Kind::Error) {
    failed(*out.running, out.reply, Outcome::Failed, std::string(answer->error["message"].as_string()));
    out.text = masked(*out.running, *answer, answer->error);
  } else if (auto rewritten = rewrite_initialize_answer(*answer, extensions); !rewritten) {
    failed(*out.running, out.reply, Outcome::Failed, rewritten.error().what);
  } else {
    out.reply.result = Outcome::Ok;
    version_ = std::string(answer->result["protocolVersion"].as_string());
    back_->agreed(version_);
    out.text = std::move(*rewritten);
    // Instructions and names are texts of the target's like any other.
    for (const auto key : {"instructions", "serverInfo"})
      if (auto said = parse_message(out.text, From::Server, SIZE_MAX)) out.text = masked(*out.running, *said, said->result[key]);
  }
  co_return out;
}

awaitable<Result<void>> Session::resume(identity::PrincipalPtr who, std::string peer, enforce::RememberedSession remembered) {
  const auto self = shared_from_this();
  touch();
  enforce::Gate::Connection connection{std::move(peer), "mcp", remembered.client, remembered.evidence_session};
  CO_TRY(gate_, co_await services_.gate.open(std::move(who), remembered.target, id_, connection));
  resume_key_ = remembered.upstream_session;
  version_ = remembered.version;
  remembered.evidence_session = gate_->id();
  co_return co_await services_.remembered.remember(id_, std::move(remembered));
}

/// What the target says on the stream goes to the client, until either of them ends.
awaitable<void> Session::pump(Back& to, Answers& stream, ClientStream& client, enforce::Running& running, enforce::Reply& reply, const Heard& heard) {
  bool broken = false;
  while (!broken && !client.gone() && !ended_) {
    auto next = co_await stream.next(net::kNever);
    if (!next && next.error().kind == ErrorKind::Malformed) failed(running, reply, Outcome::Error, next.error().what);
    if (!next || !*next) break;
    auto& event = **next;
    if (event.event == kOwnMessage) {
      if (auto sent = co_await carry_on(to, event); !sent) services_.gate.observe(running, R"({"sallyport":"not sent","reason":)" + json::quote(sent.error().what) + "}");
      continue;
    }
    if (event.id && !heard.resumed.empty()) remember_event(*event.id, heard.resumed);
    if (!event.data.empty()) {
      auto delivery = co_await from_server(std::move(event.data), running, heard);
      if (!delivery) continue;
      event.data = std::move(delivery->text);
    }
    co_await client.event(std::move(event));
    broken = !(co_await services_.gate.flush(running)).has_value();
    touch();
  }
}

awaitable<void> Session::listen(ClientStream& client) {
  const auto self = shared_from_this();
  enforce::McpRequest request;
  request.method = "listen";
  request.housekeeping = request.carries = true;
  const enforce::Action action = request;
  while (!ended_ && !client.gone()) {
    const auto to = back();
    if (!to) co_return;
    auto verdict = co_await services_.gate.ask(gate_, action, (*to)->listening(), {}, nullptr);
    auto* allowed = std::get_if<enforce::Allowed>(&verdict);
    if (allowed == nullptr) co_return;
    auto answers = co_await (*to)->listen(std::move(allowed->permit), "");
    enforce::Reply reply;
    const bool open = answers && (*answers)->status() == 200;
    if (open) {
      streams_.insert(answers->get());
      co_await pump(**to, **answers, client, allowed->running, reply, {});
      streams_.erase(answers->get());
    } else {
      failed(allowed->running, reply, Outcome::Error, !answers ? answers.error().what : "HTTP " + std::to_string((*answers)->status()));
    }
    (void)co_await services_.gate.finish(std::move(allowed->running), std::move(reply));
    if (!open || lost()) co_return;
    // It may end its stream at any time; the client of this transport cannot come again for it.
    boost::asio::steady_timer pause(services_.context, std::chrono::seconds(1));
    boost::system::error_code ignored;
    co_await pause.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
  }
}

awaitable<void> Session::listen(ClientStream& client, std::string last_event_id, std::optional<Message> message) {
  const auto self = shared_from_this();
  touch();
  if (message && !co_await fits(client, *message)) co_return;
  enforce::McpRequest request;
  request.method = message ? message->method : last_event_id.empty() ? "listen" : "resume";
  request.housekeeping = request.carries = true;
  const enforce::Action action = request;
  Flight asked;
  Result<std::string> bytes = std::string();
  if (message) bytes = co_await outgoing(*message, asked);
  else if (const auto to = back()) bytes = (*to)->listening();
  const std::string id = message ? message->id_text() : std::string();
  if (!bytes) co_return co_await client.answer(error_text(id, code::kUnavailable, bytes.error().what), {}, message ? 200 : 502);
  // Of a stream that is resumed the id goes to the target: any text, and so it is on record.
  const auto from = json::Document::parse(last_event_id.empty() ? "{}" : R"({"lastEventId":)" + json::quote(last_event_id) + "}");
  if (!from) co_return co_await client.answer(error_text(id, code::kInvalidRequest, "Last-Event-ID is no text"), {}, 400);
  auto verdict = co_await services_.gate.ask(gate_, action, std::move(*bytes), message ? message->params : from->root(), nullptr);
  if (auto* denial = std::get_if<enforce::Denial>(&verdict)) {
    co_return co_await client.answer(error_text(id, code::kDenied, denial->reason + " Request: " + denial->request_id), {}, denial->kind == ErrorKind::Denied ? 403 : 503);
  }
  auto& allowed = std::get<enforce::Allowed>(verdict);
  auto running = std::move(allowed.running);
  enforce::Reply reply;
  auto to_target = back();
  Result<std::unique_ptr<Answers>> answers = fail(ErrorKind::Unavailable, to_target ? "" : to_target.error().what);
  if (to_target && message) answers = co_await (*to_target)->request(std::move(allowed.permit), *message);
  else if (to_target) answers = co_await (*to_target)->listen(std::move(allowed.permit), last_event_id);
  if (!answers || (!message && (*answers)->status() != 200)) {
    const unsigned status = !answers ? 502 : (*answers)->status() == 405 ? 405 : (*answers)->status() == 404 ? 404 : 502;
    failed(running, reply, Outcome::Error, !answers ? answers.error().what : "HTTP " + std::to_string((*answers)->status()));
    (void)co_await services_.gate.finish(std::move(running), std::move(reply));
    co_return co_await client.answer(error_text(id, code::kUnavailable, "the target offers no stream"), {}, message ? 200 : status);
  }
  auto& stream = **answers;
  streams_.insert(&stream);
  co_await client.comment("open");
  // Two watchers live as long as the stream: one ends it when the client goes, one keeps idle connections open.
  auto stop = std::make_shared<boost::asio::steady_timer>(services_.context);
  auto done = std::make_shared<bool>(false);
  auto watch = [](ClientStream& listener, Answers& upstream, std::shared_ptr<bool> over,
                  boost::asio::steady_timer& ended) -> awaitable<void> {
    co_await listener.until_gone();
    if (!*over) upstream.close();
    ended.expires_at(std::chrono::steady_clock::time_point::min());
  };
  auto keep = [](ClientStream& listener, std::shared_ptr<bool> over, std::shared_ptr<boost::asio::steady_timer> timer) -> awaitable<void> {
    while (!*over) {
      timer->expires_after(std::chrono::nanoseconds(kKeepAlive));
      boost::system::error_code stopped;
      co_await timer->async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, stopped));
      if (!stopped && !*over) co_await listener.comment("");
    }
  };
  boost::asio::steady_timer watch_ended(services_.context, std::chrono::steady_clock::time_point::max());
  boost::asio::steady_timer keep_ended(services_.context, std::chrono::steady_clock::time_point::max());
  boost::asio::co_spawn(services_.context, watch(client, stream, done, watch_ended), boost::asio::detached);
  boost::asio::co_spawn(services_.context, keep(client, done, stop),
                        [&keep_ended](std::exception_ptr) { keep_ended.expires_at(std::chrono::steady_clock::time_point::min()); });

  const auto before = events_.find(last_event_id);
  co_await pump(**to_target, stream, client, running, reply, {.flight = nullptr, .subscription = message ? &*message : nullptr, .resumed = before == events_.end() ? "" : before->second});
  *done = true;
  stream.close();
  stop->cancel();
  boost::system::error_code ignored;
  co_await keep_ended.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
  co_await client.finish();
  client.close();  // wakes the watcher: bytes it may have read would be lost to the next request otherwise
  co_await watch_ended.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
  (void)co_await services_.gate.finish(std::move(running), std::move(reply));
  streams_.erase(&stream);
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
  if (const auto to_target = remote ? back() : Result<Back*>(nullptr); to_target && *to_target != nullptr && (*to_target)->needs_end()) {
    auto verdict = co_await services_.gate.own(gate_, "end session", "");
    if (auto* allowed = std::get_if<enforce::Allowed>(&verdict)) {
      enforce::Reply reply;
      if (auto told = co_await (*to_target)->end(std::move(allowed->permit)); !told) failed(allowed->running, reply, Outcome::Failed, told.error().what);
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
