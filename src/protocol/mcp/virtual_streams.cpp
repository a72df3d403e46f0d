#include "protocol/mcp/virtual_streams.h"

#include "protocol/mcp/virtual_names.h"

namespace sallyport::protocol::mcp {

using boost::asio::awaitable;

namespace {

/// What a member says, in words that are good for all; "" for what cannot be read.
std::string in_our_words(std::string text, std::string_view member) {
  const auto message = parse_message(std::move(text), From::Server, SIZE_MAX);
  return message ? from_member(*message, member) : std::string();
}

}  // namespace

/// The client comes back with it, and then it says whose stream goes on.
std::optional<std::string> MemberStream::our_id(std::optional<std::string> id) const {
  if (!id) return std::nullopt;
  return member_ + ":" + *id;
}

awaitable<void> MemberStream::event(SseEvent event) {
  event.id = our_id(std::move(event.id));
  if (!event.data.empty()) event.data = in_our_words(std::move(event.data), member_);
  co_await client_.event(std::move(event));
}

awaitable<void> MemberStream::answer(std::string text, std::optional<std::string> id, unsigned status) {
  if (seen_) seen_(text);
  co_await client_.answer(std::move(text), our_id(std::move(id)), status);
}

awaitable<void> KeptAnswer::answer(std::string said, std::optional<std::string>, unsigned) {
  text = std::move(said);
  done.changed();
  co_return;
}

awaitable<void> ListenStream::event(SseEvent event) {
  heard_ = true;
  if (event.data.empty()) co_return;  // ids to resume by are of one member, and this stream is of all
  auto message = parse_message(std::move(event.data), From::Server, SIZE_MAX);
  if (!message) co_return;
  // That it ends is its own matter: the client's subscription goes on.
  if (listener_->request && (message->kind == Message::Kind::Response || message->kind == Message::Kind::Error)) co_return;
  if (message->method == "notifications/subscriptions/acknowledged") {
    for (const auto uri : message->params["notifications"]["resourceSubscriptions"])
      listener_->subscriptions.append(listener_->subscriptions.empty() ? "" : ",").append(uri.raw());
    listener_->heard.insert(member_);
    listener_->changed.changed();
    co_return;
  }
  while (!listener_->open && !gone()) (void)co_await listener_->changed.wait(net::kNever);
  if (gone()) co_return;
  SseEvent out;
  out.event = "message";
  out.data = from_member(*message, member_);
  co_await listener_->client.event(std::move(out));
}

awaitable<void> ListenStream::answer(std::string, std::optional<std::string>, unsigned) {
  refused_ = true;
  listener_->heard.insert(member_);
  listener_->changed.changed();
  co_return;
}

awaitable<void> ListenStream::until_gone() {
  while (!gone()) (void)co_await closed_.wait(net::kNever);
}

void ListenStream::close() {
  is_closed_ = true;
  closed_.changed();
}

}  // namespace sallyport::protocol::mcp
