// HTTP+SSE for clients of revision 2024-11-05: GET /mcp/TARGET/sse is a stream that first names the address for messages, a POST
// there is answered on the stream. The session in that address is good for the principal that opened the stream and for nobody
// else; it ends with the stream. See endpoint.h.
#include "base/text.h"
#include "protocol/mcp/answer.h"
#include "protocol/mcp/endpoint.h"

namespace sallyport::protocol::mcp {

using boost::asio::awaitable;

namespace {

constexpr std::int64_t kKeepAlive = 15'000'000'000;
constexpr std::string_view kSession = "sessionId=";

}  // namespace

/// An open stream and the session on it; kept by whatever still writes to it.
struct Endpoint::SseFront {
  SseFront(net::HttpServerConnection connection, boost::asio::io_context& context) : http(std::move(connection)), client(http, context, true, true), changed(context) {}
  net::HttpServerConnection http;
  HttpClientStream client;
  net::Condition changed;
  identity::PrincipalPtr who;
  std::string target;
  std::shared_ptr<Conversation> session;
  bool beginning = false, begun = false, over = false;
};

std::string Endpoint::sse_session_of(const net::HttpRequest& request) {
  const auto query = request.target.find('?');
  if (query == std::string::npos || !std::string_view(request.target).substr(0, query).ends_with(kSseMessages)) return "";
  const auto rest = std::string_view(request.target).substr(query + 1);
  return rest.starts_with(kSession) ? std::string(rest.substr(kSession.size())) : "";
}

/// Comments keep the stream open; it ends with the credential that it, or the last message, came with.
awaitable<void> Endpoint::keep_sse(std::shared_ptr<SseFront> front) {
  while (!front->over) {
    (void)co_await front->changed.wait(net::after(kKeepAlive));
    const auto& who = front->session->ready() ? front->session->who() : front->who;
    if (who->expires_wall_ns != 0 && system_clock().wall_ns() > who->expires_wall_ns) front->http.close();
    if (!front->over) co_await front->client.comment("");
  }
}

awaitable<void> Endpoint::handle_sse_stream(net::HttpServerConnection& http, const net::HttpRequest& request, identity::PrincipalPtr who, std::string target) {
  if (request.method != "GET") co_return co_await refuse(http, 405, code::kInvalidRequest, "only GET opens a stream; messages go where it says");
  if (!accepts(request.headers.get("Accept"), "text/event-stream")) co_return co_await refuse(http, 406, code::kInvalidRequest, "GET needs Accept: text/event-stream");
  if (sessions_.size() + fronts_.size() >= options_.max_sessions) co_return co_await refuse(http, 503, code::kUnavailable, "too many sessions");
  connections_.erase(&http);
  const auto front = std::make_shared<SseFront>(std::move(http), services_.context);
  const Registered registered(connections_, front->http);
  front->who = std::move(who);
  front->target = std::move(target);
  front->session = conversation_with(front->target, new_session_id(), Front::Legacy);
  const auto id = front->session->id();
  fronts_[id] = front;
  SseEvent event;
  event.event = "endpoint";
  event.data = std::string(kPrefix) + front->target + std::string(kSseMessages) + "?" + std::string(kSession) + id;
  co_await front->client.event(std::move(event));
  boost::asio::co_spawn(services_.context, keep_sse(front), boost::asio::detached);
  co_await front->http.client_gone();
  front->over = true;
  front->changed.changed();
  front->http.close();
  fronts_.erase(id);
  if (front->session->ready()) co_await retire(front->session, front->session->lost() ? "the target lost it" : "the client's stream ended");
  front->session->cut();
}

awaitable<void> Endpoint::begin_sse(std::shared_ptr<SseFront> front, Message message) {
  const Conversation::Tell tell = [front](unsigned, std::string text, std::string session) {
    front->begun = !session.empty();
    return front->client.answer(std::move(text));
  };
  // By name before the client is told: its next message may be here before this coroutine goes on.
  sessions_[front->session->id()] = front->session;
  const bool begun = co_await front->session->begin(tell, front->http.peer(), front->who, front->target, std::move(message));
  if (!begun || front->over) {
    if (begun) co_await retire(front->session, "the client's stream ended");
    sessions_.erase(front->session->id());
    co_return front->http.close();
  }
  watch(front->session);
  co_await front->session->listen(front->client);
  if (front->session->lost()) front->http.close();
}

awaitable<void> Endpoint::handle_sse_message(net::HttpServerConnection& http, net::HttpRequest request, identity::PrincipalPtr who, std::string target) {
  if (request.method != "POST") co_return co_await refuse(http, 405, code::kInvalidRequest, "only POST");
  const auto at = fronts_.find(sse_session_of(request));
  // Whoever knows an id but is not its owner learns nothing.
  if (at == fronts_.end() || at->second->who->person() != who->person() || at->second->who->agent != who->agent || at->second->target != target ||
      (at->second->begun && at->second->session->lost()))
    co_return co_await refuse(http, 404, code::kDenied, "there is no such session; open a stream again");
  const auto front = at->second;
  if (auto [status, why] = unreadable(request); status != 0) co_return co_await refuse(http, status, code::kInvalidRequest, std::move(why));
  auto message = parse_message(std::move(request.body), From::Client, options_.http.body_bytes);
  if (!message) co_return co_await refuse(http, 400, code::kParse, message.error().what);
  if (!co_await may_by_scope(http, *who, target, *message)) co_return;
  if (message->method == "initialize" && message->kind == Message::Kind::Request) {
    if (message->text().size() > kMostSaidOfItself) co_return co_await refuse(http, 413, code::kInvalidRequest, "initialize is over 65536 bytes");
    if (std::exchange(front->beginning, true)) co_return co_await refuse(http, 400, code::kInvalidRequest, "this session is initialized already");
    front->who = std::move(who);
    boost::asio::co_spawn(services_.context, begin_sse(front, std::move(*message)), boost::asio::detached);
  } else if (!front->begun || !front->session->ready()) {
    co_return co_await refuse(http, 400, code::kInvalidRequest, "initialize first");
  } else {
    front->session->renew(std::move(who));
    auto post = [](std::shared_ptr<SseFront> stream, Message one) -> awaitable<void> {
      co_await stream->session->post(stream->client, std::move(one));
      if (stream->session->lost()) stream->http.close();
    };
    // What has no answer is taken before the next message is; requests run side by side.
    if (message->kind == Message::Kind::Request) boost::asio::co_spawn(services_.context, post(front, std::move(*message)), boost::asio::detached);
    else co_await post(front, std::move(*message));
  }
  (void)co_await http.respond(202, {}, "");
}

void Endpoint::close_sse(const std::string& id) {
  if (const auto at = fronts_.find(id); at != fronts_.end()) at->second->http.close();
}

}  // namespace sallyport::protocol::mcp
