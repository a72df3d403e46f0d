#include "protocol/mcp/multiplex.h"

#include "protocol/mcp/era.h"

#include <algorithm>

namespace sallyport::protocol::mcp {

using boost::asio::awaitable;

namespace {

constexpr std::size_t kMaxAsked = 256;
constexpr std::size_t kMaxSubscribed = 1000;                 // of one session
constexpr std::size_t kMaxWaiting = 64;                      // messages for a session that does not listen yet
constexpr std::int64_t kPatience = 5'000'000'000;            // a reader may hold up the others this long
constexpr std::int64_t kPatienceAlone = 120'000'000'000;

/// These say that something of the server's changed, and nothing about anybody.
bool concerns_all(std::string_view method) {
  return method == "notifications/tools/list_changed" || method == "notifications/prompts/list_changed" || method == "notifications/resources/list_changed";
}

std::string with(const Message& message, const json::Value& value, const std::string& raw) {
  json::Splice splice;
  splice.replace(value, raw);
  return splice.apply(message.text());
}

}  // namespace

Multiplex::GuestPtr Multiplex::join() {
  guests_.push_back(std::make_shared<Guest>(context_, max_message_));
  return guests_.back();
}

void Multiplex::leave(const GuestPtr& guest) {
  std::erase(guests_, guest);
  std::erase_if(asked_, [&](const auto& one) { return one.second == guest; });
  guest->strays->close();
}

std::shared_ptr<Inbox> Multiplex::expect(const GuestPtr& guest, std::string id_at_target, Flight flight) {
  flight.guest = guest;
  flight.inbox = std::make_shared<Inbox>(context_, max_message_);
  flight.order = ++orders_;
  return flights_.insert_or_assign(std::move(id_at_target), std::move(flight)).first->second.inbox;
}

void Multiplex::subscribe(const GuestPtr& guest, const json::Value& request) {
  const auto method = request["method"].as_string();
  const std::string uri(request["params"]["uri"].as_string());
  if (method == "resources/subscribe" && guest->subscribed.size() < kMaxSubscribed) guest->subscribed.insert(uri);
  if (method == "resources/unsubscribe") guest->subscribed.erase(uri);
}

std::string Multiplex::id_at_target(const GuestPtr& guest, std::string_view id) const {
  for (const auto& [key, flight] : flights_)
    if (flight.guest == guest && flight.id == id) return key;
  return "";
}

bool Multiplex::answers(const GuestPtr& guest, const std::string& id) {
  const auto at = asked_.find(id);
  if (at == asked_.end() || at->second != guest) return false;
  asked_.erase(at);
  return true;
}

std::shared_ptr<Inbox> Multiplex::listen(const GuestPtr& guest) {
  // A second listener takes over: a client that lost its stream comes again before we know.
  if (guest->listens) {
    guest->strays->close();
    guest->strays = std::make_shared<Inbox>(context_, max_message_);
  }
  guest->strays->open();
  guest->listens = true;
  guest->waiting = 0;
  return guest->strays;
}

/// Where a session reads: its listener, else the call it made last, else what waits for its listener.
Multiplex::Place Multiplex::place_of(const GuestPtr& guest) const {
  if (guest->listens) return {guest, guest->strays};
  const Flight* latest = nullptr;
  for (const auto& [id, flight] : flights_)
    if (flight.guest == guest && !flight.inbox->closed() && (latest == nullptr || flight.order > latest->order)) latest = &flight;
  return {guest, latest != nullptr ? latest->inbox : guest->strays};
}

std::vector<Multiplex::Place> Multiplex::places_for(const Message& message) const {
  const Flight* only = nullptr;
  std::vector<GuestPtr> running;
  std::size_t open = 0;
  for (const auto& [id, flight] : flights_) {
    if (flight.inbox->closed()) continue;
    ++open;
    only = &flight;
    if (std::ranges::find(running, flight.guest) == running.end()) running.push_back(flight.guest);
  }
  // What changed is told to those that asked for it: another's resource is nobody's business.
  const bool updated = message.method == "notifications/resources/updated";
  if (message.kind == Message::Kind::Notification && (updated || concerns_all(message.method)) && guests_.size() > 1) {
    std::vector<Place> all;
    for (const auto& guest : guests_)
      if (!updated || guest->subscribed.contains(message.params["uri"].as_string())) all.push_back(place_of(guest));
    return all;
  }
  if (open == 1) return {{only->guest, only->inbox}};
  if (running.size() == 1) return {place_of(running.front())};
  if (guests_.size() == 1) return {place_of(guests_.front())};
  if (strangers_ || guests_.empty()) return {};
  // The same person and agent: whoever came last, and listens if anybody does.
  const auto listener = std::find_if(guests_.rbegin(), guests_.rend(), [](const GuestPtr& guest) { return guest->listens; });
  return {place_of(listener == guests_.rend() ? guests_.back() : *listener)};
}

awaitable<std::string> Multiplex::deliver(Place place, std::string text) {
  if (place.inbox == place.guest->strays && !place.guest->listens) {
    if (place.guest->waiting >= kMaxWaiting || !place.inbox->has_room()) co_return "nobody listens";
    ++place.guest->waiting;
    place.inbox->put(std::move(text));
    co_return "";
  }
  if (!co_await place.inbox->room(net::after(guests_.size() > 1 ? kPatience : kPatienceAlone))) {
    const bool gone = place.inbox->closed();
    place.inbox->finish(Error(ErrorKind::Overloaded, "the client reads too slowly"));
    place.inbox->close();
    co_return gone ? "its reader is gone" : "its reader is too slow";
  }
  place.inbox->put(std::move(text));
  co_return "";
}

awaitable<std::string> Multiplex::take_answer(Message message) {
  const auto at = flights_.find(message.id_text());
  if (at == flights_.end()) co_return "an answer to no request";
  auto flight = std::move(at->second);
  flights_.erase(at);
  const auto inbox = flight.inbox;
  auto failed = co_await deliver({std::move(flight.guest), inbox}, with(message, message.id, flight.id));
  inbox->finish();
  co_return failed;
}

awaitable<std::string> Multiplex::take_progress(Message message) {
  const auto token = message.params["progressToken"];
  for (const auto& [id, flight] : flights_)
    if (!flight.token_at_target.empty() && flight.token_at_target == token.raw()) co_return co_await deliver({flight.guest, flight.inbox}, with(message, token, flight.token));
  co_return "progress of no request";
}

/// Of a subscriptions/listen (modern era): named by the id of its request.
awaitable<std::string> Multiplex::take_subscribed(Message message) {
  const auto id = message.params["_meta"][kMetaSubscription];
  const auto at = flights_.find(id.is_string() ? std::string(id.as_string()) : std::string(id.raw()));
  if (at == flights_.end()) co_return "of no subscription";
  const auto flight = at->second;
  co_return co_await deliver({flight.guest, flight.inbox}, with(message, id, flight.id));
}

awaitable<std::string> Multiplex::take(Message message) {
  if (message.kind == Message::Kind::Notification && message.params["_meta"][kMetaSubscription].valid()) co_return co_await take_subscribed(std::move(message));
  if (message.kind == Message::Kind::Response || message.kind == Message::Kind::Error) co_return co_await take_answer(std::move(message));
  if (message.kind == Message::Kind::Notification && message.method == "notifications/progress") co_return co_await take_progress(std::move(message));
  auto places = places_for(message);
  if (message.kind == Message::Kind::Notification && message.method == "notifications/cancelled") {
    const auto at = asked_.find(std::string(message.params["requestId"].raw()));
    if (at == asked_.end()) co_return "it cancels no request";
    places = {place_of(at->second)};
    asked_.erase(at);
  }
  if (places.empty()) co_return "it is not clear whom it is for";
  if (message.kind == Message::Kind::Request) {
    if (asked_.size() >= kMaxAsked || !asked_.try_emplace(message.id_text(), places.front().guest).second) co_return "too many requests, or one with this id is open";
  }
  std::string failed;
  for (const auto& place : places) failed = co_await deliver(place, std::string(message.text()));
  if (message.kind == Message::Kind::Request && !failed.empty()) asked_.erase(message.id_text());
  co_return failed;
}

void Multiplex::fail_all(const Error& why) {
  for (auto& [id, flight] : std::exchange(flights_, {})) flight.inbox->finish(why);
  for (const auto& guest : guests_) guest->strays->finish(why);
  asked_.clear();
}

}  // namespace sallyport::protocol::mcp
