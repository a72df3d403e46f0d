#include "protocol/mcp/stdio_channel.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

namespace sallyport::protocol::mcp {

using boost::asio::awaitable;
using target::Renumbered;

namespace {

/// Numbers are unique on every process of the worker, and never used again.
std::uint64_t next_number() {
  thread_local std::uint64_t last = 0;
  return ++last;
}

Renumbered renumber(const json::Value& value, std::uint64_t number) { return {value.offset(), value.raw().size(), number}; }

Result<json::Document> read(const target::Permit& permit) {
  auto document = json::Document::parse(permit.bytes());
  if (!document) return fail(ErrorKind::Internal, "a permit's bytes are no JSON: " + document.error().what);
  return document;
}

}  // namespace

Channel::Channel(boost::asio::io_context& context, ChannelTerms terms)
    : context_(context),
      terms_(std::move(terms)),
      multiplex_(context, terms_.max_message, terms_.command.pool == target::McpCommand::Pool::Shared),
      changed_(context) {}

awaitable<Result<void>> Channel::start(std::function<void(std::int64_t)> ended) {
  const auto self = shared_from_this();
  auto process = co_await target::Process::start(context_, terms_.target, terms_.command, terms_.environment, terms_.max_message);
  if (!process) {
    die(process.error());
    ended(0);
    co_return std::unexpected(why_);
  }
  process_ = std::move(*process);
  if (state_ == State::Starting) state_ = State::Started;
  changed_.changed();
  boost::asio::co_spawn(context_, run(std::move(ended)), boost::asio::detached);
  co_return Result<void>{};
}

void Channel::die(Error why) {
  if (state_ == State::Dead) return;
  state_ = State::Dead;
  why_ = std::move(why);
  multiplex_.fail_all(why_);
  changed_.changed();
}

/// Reads the process to its end.
awaitable<void> Channel::run(std::function<void(std::int64_t)> ended) {
  const auto self = shared_from_this();
  for (;;) {
    auto line = co_await process_->read();
    if (!line) {
      die(std::move(line).error());
      break;
    }
    if (line->find_first_not_of(" \t") == std::string::npos) continue;
    const std::string said = line->substr(0, 512);  // noted as it is only when it is no message
    auto message = parse_message(std::move(*line), From::Server, terms_.max_message);
    if (!message) {
      process_->note(said);
      continue;
    }
    remember(*message);
    const auto what = message->method.empty() ? std::string("an answer") : message->method.substr(0, 120);
    if (const auto lost = co_await multiplex_.take(std::move(*message)); !lost.empty()) process_->say_dropped(what, lost);
  }
  const auto ran = system_clock().mono_ns() - process_->started_ns();
  co_await process_->end(net::after(2'000'000'000));
  ended(ran);
}

/// The answer to the one initialize, for the sessions that come later.
void Channel::remember(const Message& message) {
  if (state_ != State::Initializing || !message.method.empty() || message.id_text() != initialize_id_) return;
  if (message.kind == Message::Kind::Response) {
    answer_ = std::string(message.result.raw());
    state_ = State::Ready;
  } else {
    retired_ = true;  // it does not speak with us: whoever comes next tries with another process
  }
  changed_.changed();
}

awaitable<void> Channel::end(net::Deadline deadline) {
  const auto self = shared_from_this();
  retired_ = true;
  while (state_ == State::Starting)
    if (!co_await changed_.wait(deadline)) co_return;
  if (process_) co_await process_->end(deadline);
}

awaitable<Result<std::unique_ptr<Answers>>> Channel::request(Multiplex::GuestPtr guest, target::Permit permit, net::Recall* recall) {
  const auto self = shared_from_this();
  const auto deadline = net::after(terms_.timeout_ns);
  while (state_ == State::Starting)
    if (!co_await changed_.wait(deadline)) co_return fail(ErrorKind::Unavailable, "the server does not start in time");
  if (dead()) co_return std::unexpected(why_);
  if (recall != nullptr && recall->pulled()) co_return fail(ErrorKind::Disconnected, "the request was taken back before it was sent");
  CO_TRY(const auto document, read(permit));
  const auto id = document.root()["id"], token = document.root()["params"]["_meta"]["progressToken"];
  const auto number = next_number();
  const auto at_process = std::to_string(number);
  std::vector<Renumbered> ids{renumber(id, number)};
  if (token.valid()) ids.push_back(renumber(token, number));
  std::ranges::sort(ids, {}, &Renumbered::offset);
  if (document.root()["method"].as_string() == "initialize") initialize_id_ = at_process;
  multiplex_.subscribe(guest, document.root());
  auto inbox = multiplex_.expect(guest, at_process, {.id = std::string(id.raw()), .token = std::string(token.raw()), .token_at_target = token.valid() ? at_process : ""});
  auto written = co_await process_->write(std::move(permit), ids, deadline);
  if (!written) {
    multiplex_.forget(at_process);
    co_return std::unexpected(written.error());
  }
  // An answer that nobody waits for any more must not look like one that was never asked for.
  co_return std::make_unique<InboxAnswers>(std::move(inbox), [weak = weak_from_this(), at_process] {
    const auto channel = weak.lock();
    if (channel && channel->initialize_id_ != at_process) channel->multiplex_.forget(at_process);
  });
}

awaitable<Result<std::unique_ptr<Answers>>> Channel::initialize(Multiplex::GuestPtr guest, target::Permit permit) {
  const auto self = shared_from_this();
  const auto deadline = net::after(terms_.timeout_ns);
  while (state_ == State::Starting)
    if (!co_await changed_.wait(deadline)) co_return fail(ErrorKind::Unavailable, "the server does not start in time");
  if (state_ == State::Started) {
    state_ = State::Initializing;
    auto answers = co_await request(std::move(guest), std::move(permit));
    retired_ = retired_ || !answers;
    changed_.changed();
    co_return answers;
  }
  while (state_ == State::Initializing && !retired_)
    if (!co_await changed_.wait(deadline)) co_return fail(ErrorKind::Unavailable, "the server does not answer to initialize in time");
  if (dead()) co_return std::unexpected(why_);
  if (state_ != State::Ready) co_return fail(ErrorKind::Unavailable, "the server has just refused another session");
  CO_TRY(const auto document, read(permit));
  auto inbox = std::make_shared<Inbox>(context_, terms_.max_message);
  inbox->put(result_text(document.root()["id"].raw(), answer_));
  inbox->finish();
  co_return std::make_unique<InboxAnswers>(std::move(inbox), nullptr);
}

awaitable<Result<void>> Channel::post(Multiplex::GuestPtr guest, target::Permit permit) {
  const auto self = shared_from_this();
  if (dead() || !process_) co_return fail(ErrorKind::Unavailable, dead() ? why_.what : "the server has not started");
  CO_TRY(const auto document, read(permit));
  const auto root = document.root();
  const auto method = root["method"].as_string();
  std::vector<Renumbered> ids;
  // The server has been told once; the session's own beginning is no news to it.
  if (method == "notifications/initialized" && std::exchange(announced_, true)) co_return Result<void>{};
  if (method == "notifications/cancelled") {
    const auto id = root["params"]["requestId"];
    const auto at_process = multiplex_.id_at_target(guest, id.raw());
    if (at_process.empty()) co_return Result<void>{};  // answered meanwhile
    ids.push_back(renumber(id, std::stoull(at_process)));
  }
  if (method.empty() && !multiplex_.answers(guest, std::string(root["id"].raw()))) co_return fail(ErrorKind::Unavailable, "the server does not wait for this answer");
  co_return co_await process_->write(std::move(permit), ids, net::after(terms_.timeout_ns));
}

std::unique_ptr<Answers> Channel::listen(const Multiplex::GuestPtr& guest) {
  auto inbox = multiplex_.listen(guest);
  return std::make_unique<InboxAnswers>(inbox, [weak = weak_from_this(), guest, inbox] {
    if (const auto channel = weak.lock()) channel->multiplex_.stop_listening(guest, inbox);
  });
}

}  // namespace sallyport::protocol::mcp
