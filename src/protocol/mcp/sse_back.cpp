#include "protocol/mcp/sse_back.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

namespace sallyport::protocol::mcp {

using boost::asio::awaitable;

namespace {
constexpr std::size_t kMaxErrorBody = 64u << 10;
}

/// The open stream: kept by the coroutine that reads it and by the conversation.
struct SseBack::Stream {
  Stream(boost::asio::io_context& context, net::HttpExchange from, std::shared_ptr<target::Link> to, std::size_t max_message)
      : exchange(std::move(from)), link(std::move(to)), parser(max_message), multiplex(context, max_message, false), changed(context), max(max_message) {
    guest = multiplex.join();
  }
  void die(Error error) {
    if (std::exchange(dead, true)) return;
    why = std::move(error);
    multiplex.fail_all(why);
    changed.changed();
  }
  net::HttpExchange exchange;
  std::shared_ptr<target::Link> link;
  SseParser parser;
  Multiplex multiplex;
  net::Condition changed;
  std::size_t max;
  Multiplex::GuestPtr guest;
  std::string path;      // where messages go; "" until it has been said
  bool dead = false;
  Error why;
};

SseBack::SseBack(boost::asio::io_context& context, std::shared_ptr<target::Link> link, const target::McpTarget& settings)
    : context_(context), link_(std::move(link)), max_message_(settings.max_message), timeout_ns_(settings.timeout_ns) {}

SseBack::~SseBack() {
  if (!stream_) return;
  stream_->die(Error(ErrorKind::Disconnected, "the conversation is over"));
  stream_->exchange.close();
}

bool SseBack::lost() const { return lost_ || (stream_ && stream_->dead); }

awaitable<void> SseBack::read(std::shared_ptr<Stream> stream) {
  for (;;) {
    const auto bytes = co_await stream->exchange.read_some(net::kNever);
    if (!bytes || bytes->empty()) co_return stream->die(Error(ErrorKind::Disconnected, "the target ended its event stream"));
    std::vector<SseEvent> events;
    if (auto fed = stream->parser.feed(*bytes, events); !fed) co_return stream->die(fed.error());
    for (auto& event : events) {
      if (event.event == "endpoint") {
        auto path = stream->link->path_of(event.data);
        if (!path) co_return stream->die(path.error());
        if (stream->path.empty()) stream->path = std::move(*path);
        stream->changed.changed();
      } else if (event.event.empty() || event.event == "message") {
        // What cannot be parsed cannot be judged or masked: it goes no further.
        if (auto message = parse_message(std::move(event.data), From::Server, stream->max)) (void)co_await stream->multiplex.take(std::move(*message));
      }
    }
  }
}

/// Opens the stream and waits until it has said where messages go.
awaitable<Result<void>> SseBack::open(const target::Permit& permit) {
  net::Headers headers;
  headers.add("Accept", "text/event-stream");
  CO_TRY(auto exchange, co_await link_->open_stream(permit, std::move(headers)));
  if (exchange.status() != 200 || !exchange.headers().get("Content-Type").starts_with("text/event-stream"))
    co_return fail(ErrorKind::Unavailable, "the target offers no event stream (HTTP " + std::to_string(exchange.status()) + ")");
  stream_ = std::make_shared<Stream>(context_, std::move(exchange), link_, max_message_);
  boost::asio::co_spawn(context_, read(stream_), boost::asio::detached);
  const auto stream = stream_;
  const auto deadline = net::after(timeout_ns_);
  while (stream->path.empty() && !stream->dead)
    if (!co_await stream->changed.wait(deadline)) break;
  if (stream->dead) co_return std::unexpected(stream->why);
  if (stream->path.empty()) {
    stream->die(Error(ErrorKind::Unavailable, "the target's event stream does not say where messages go"));
    stream->exchange.close();
    co_return std::unexpected(stream->why);
  }
  co_return Result<void>{};
}

awaitable<Result<void>> SseBack::send(target::Permit permit, net::Recall* recall) {
  net::Headers headers;
  headers.add("Content-Type", "application/json");
  headers.add("Accept", "application/json, text/event-stream");
  if (!version_.empty()) headers.add("MCP-Protocol-Version", version_);
  CO_TRY(auto exchange, co_await link_->send_to(stream_->path, std::move(permit), std::move(headers), recall));
  const auto status = exchange.status();
  (void)co_await exchange.read_all(kMaxErrorBody, net::after(timeout_ns_));
  if (status == 404) lost_ = true;
  if (status >= 300) co_return fail(ErrorKind::Unavailable, "HTTP " + std::to_string(status));
  co_return Result<void>{};
}

awaitable<Result<std::unique_ptr<Answers>>> SseBack::request(target::Permit permit, const Message&, net::Recall* recall) {
  CO_TRY(const auto sent, parse_message(permit.bytes(), From::Server, SIZE_MAX));
  if (!stream_) {
    lost_ = sent.method != "initialize";
    if (lost_) co_return fail(ErrorKind::Unavailable, "the target's event stream of this session is gone");
    CO_TRY_VOID(co_await open(permit));
  }
  const auto stream = stream_;
  if (stream->dead) co_return std::unexpected(stream->why);
  const auto id = sent.id_text();
  const std::string token(sent.params["_meta"]["progressToken"].raw());
  auto inbox = stream->multiplex.expect(stream->guest, id, {.id = id, .token = token, .token_at_target = token});
  if (auto done = co_await send(std::move(permit), recall); !done) {
    stream->multiplex.forget(id);
    co_return std::unexpected(done.error());
  }
  co_return std::make_unique<InboxAnswers>(std::move(inbox), [weak = std::weak_ptr(stream), id] {
    if (const auto open = weak.lock()) open->multiplex.forget(id);
  });
}

awaitable<Result<void>> SseBack::post(target::Permit permit) {
  if (!stream_ || stream_->dead) {
    lost_ = true;
    co_return fail(ErrorKind::Unavailable, "the target's event stream of this session is gone");
  }
  CO_TRY(const auto sent, parse_message(permit.bytes(), From::Server, SIZE_MAX));
  if (sent.method.empty() && !stream_->multiplex.answers(stream_->guest, sent.id_text())) co_return fail(ErrorKind::Unavailable, "the target does not wait for this answer");
  co_return co_await send(std::move(permit));
}

awaitable<Result<std::unique_ptr<Answers>>> SseBack::listen(target::Permit, std::string) {
  if (!stream_ || stream_->dead) {
    lost_ = true;
    co_return fail(ErrorKind::Unavailable, "the target's event stream of this session is gone");
  }
  const auto stream = stream_;
  auto inbox = stream->multiplex.listen(stream->guest);
  co_return std::make_unique<InboxAnswers>(inbox, [weak = std::weak_ptr(stream), inbox] {
    if (const auto open = weak.lock()) open->multiplex.stop_listening(open->guest, inbox);
  });
}

awaitable<Result<void>> SseBack::end(target::Permit) { co_return Result<void>{}; }

/// On this transport a closed POST says nothing.
std::string SseBack::cancelling(const std::string& id) {
  return R"({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":)" + id + "}}";
}

}  // namespace sallyport::protocol::mcp
