#include "enforce/tool_pins.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>
#include <mutex>
#include <unordered_map>

#include "enforce/tool_pin_rows.h"
#include "enforce/tool_pin_steps.h"
#include "state/turns.h"

namespace sallyport::enforce {

using boost::asio::awaitable;

namespace {

constexpr std::int64_t kFirstCatalogue = 600'000'000'000;  // a first catalogue that never ends is over after this
constexpr std::size_t kMostCompared = 64;                  // new names of one page that are compared with what is known
constexpr std::size_t kMostReason = 1024;

std::string words_of(const std::vector<Finding>& findings) {
  std::string out;
  for (const auto& one : findings) {
    if (out.size() > 400) return out + "; …";
    out += (out.empty() ? "" : "; ") + one.kind + " " + one.place;
  }
  return out;
}

evidence::Entry entry_of(const PinStep& step, const std::string& target, const identity::Principal& who, const std::string& peer, const std::string& request_id, const std::string& reason) {
  using evidence::Field;
  std::map<std::string, std::string> facts{{"kind", to_string(step.next.kind)}, {"state", to_string(step.next.state)}};
  if (step.before != Digest{}) facts["before"] = hex(step.before);
  if (!step.next.of.empty()) facts["of"] = step.next.of.substr(0, 200);
  if (!step.next.findings.empty()) facts["findings"] = words_of(step.next.findings);
  evidence::Entry entry(evidence::Kind::ToolTrust);
  entry.text(Field::RequestId, request_id).text(Field::Subject, who.subject).text(Field::Issuer, who.issuer).text(Field::Agent, who.agent);
  entry.text(Field::Target, target).text(Field::Peer, peer).text(Field::Action, step.action).text(Field::Object, step.next.name.substr(0, 1024));
  entry.map(Field::Facts, facts).text(Field::Reason, reason.substr(0, kMostReason)).bytes(Field::Digest, step.digest);
  return entry;
}

}  // namespace

struct ToolPins::State {
  State(state::Store& s, evidence::Log& log, PinLinks around, const Clock& c)
      : store(s), clock(c), links(std::move(around)), port(std::make_unique<evidence::Port>(log, s.context())), turns(s.context()) {}

  state::Store& store;
  const Clock& clock;
  PinLinks links;
  std::unique_ptr<evidence::Port> port;
  state::Turns turns;
  std::map<std::pair<std::string, PinKind>, StoredCatalogue> catalogues;

  mutable std::mutex mutex;  // of the snapshots: changed on the store's thread, read on every worker's
  std::unordered_map<std::string, TargetPinsPtr> targets;

  TargetPinsPtr of(const std::string& target) const {
    static const auto kNone = std::make_shared<const TargetPins>();
    const std::lock_guard lock(mutex);
    const auto at = targets.find(target);
    return at == targets.end() ? kNone : at->second;
  }
  void publish(const std::string& target, TargetPinsPtr pins) {
    const std::lock_guard lock(mutex);
    targets[target] = std::move(pins);
  }

  Result<void> load();
  awaitable<Result<void>> record(std::vector<evidence::Entry> entries);
  awaitable<Result<TargetPinsPtr>> apply(std::string target, std::vector<PinStep> steps, const StoredCatalogue* catalogue);
  awaitable<Result<TargetPinsPtr>> observe(Sighting sighting);
  awaitable<Result<PinPtr>> review(PinReview review);
};

Result<void> ToolPins::State::load() {
  TRY(auto known, load_catalogues(store.database()));
  TRY(auto pins, load_pins(store.database()));
  std::map<std::string, std::shared_ptr<TargetPins>> all;
  const auto at = [&](const std::string& target) -> TargetPins& {
    auto& one = all[target];
    if (!one) one = std::make_shared<TargetPins>();
    return *one;
  };
  for (auto& one : known) {
    at(one.target).complete[one.kind] = one.complete;
    catalogues.emplace(std::pair(one.target, one.kind), one);
  }
  for (auto& [target, pin] : pins) {
    load_up(pin, links.likeness);
    auto kept = std::make_shared<const Pin>(std::move(pin));
    at(target).pins.emplace(std::pair(kept->kind, kept->name), kept);
  }
  for (auto& [target, one] : all) publish(target, std::move(one));
  return {};
}

/// All of them durable, in one go: a catalogue may have thousands.
awaitable<Result<void>> ToolPins::State::record(std::vector<evidence::Entry> entries) {
  const auto durable = std::make_shared<std::size_t>(0);
  for (std::size_t i = 0; i + 1 < entries.size(); ++i)
    port->append(std::move(entries[i]), [durable](Result<std::uint64_t> index) { *durable += index.has_value(); });
  CO_TRY([[maybe_unused]] const auto last, co_await port->append(std::move(entries.back())));
  // Entries of one port keep their order: those before the last are told by now.
  if (*durable + 1 != entries.size()) co_return fail(ErrorKind::Unavailable, "the evidence of what was seen of the target's tools cannot be written");
  co_return Result<void>{};
}

/// The entries are durable: rows, then the snapshot that calls are judged by.
awaitable<Result<TargetPinsPtr>> ToolPins::State::apply(std::string target, std::vector<PinStep> steps, const StoredCatalogue* catalogue) {
  auto next = std::make_shared<TargetPins>(*of(target));
  std::vector<PinPtr> changed;
  for (auto& step : steps) {
    load_up(step.next, links.likeness);
    auto pin = std::make_shared<const Pin>(std::move(step.next));
    next->pins[{pin->kind, pin->name}] = pin;
    changed.push_back(std::move(pin));
  }
  CO_TRY_VOID(save_pins(store.database(), target, changed, catalogue));
  if (catalogue != nullptr) {
    catalogues.insert_or_assign({target, catalogue->kind}, *catalogue);
    next->complete[catalogue->kind] = catalogue->complete;
  }
  publish(target, next);
  co_return next;
}

awaitable<Result<TargetPinsPtr>> ToolPins::State::observe(Sighting sighting) {
  const auto turn = co_await turns.take();
  const auto now = clock.wall_ns();
  const auto before = of(sighting.target);
  const auto known = catalogues.find({sighting.target, sighting.kind});
  StoredCatalogue catalogue = known != catalogues.end() ? known->second : StoredCatalogue{sighting.target, sighting.kind, now, false};
  const bool first = !catalogue.complete && now - catalogue.first_seen_wall_ns < kFirstCatalogue;
  const bool news = known == catalogues.end() || (!catalogue.complete && (sighting.last || !first));
  catalogue.complete = catalogue.complete || sighting.last || !first;

  const PinScene scene{*before, sighting.terms, sighting.kind, first, now, links.likeness};
  std::size_t room = ToolPins::kMostPins, bytes = 0, compared = 0;
  for (const auto& [key, pin] : before->pins) {
    bytes += pin->accepted.size() + pin->offered.size();
    if (key.first == sighting.kind && room > 0) --room;
  }
  std::vector<PinStep> steps;
  for (const auto& one : sighting.seen) {
    const bool is_new = before->find(sighting.kind, one.name) == nullptr;
    bytes += one.definition.size();
    if (one.definition.size() > ToolPins::kMostDefinition || bytes > ToolPins::kMostBytes || (is_new && (room == 0 || (!first && ++compared > kMostCompared)))) continue;
    if (auto step = sighted(scene, one)) {
      if (is_new) --room;
      steps.push_back(std::move(*step));
    }
  }
  if (steps.empty() && !news) co_return before;
  PinEvent event{"quarantined", sighting.target, sighting.request_id, {}};
  std::vector<evidence::Entry> entries;
  std::vector<std::string> held;
  for (const auto& step : steps) {
    entries.push_back(entry_of(step, sighting.target, *sighting.who, "", sighting.request_id, ""));
    if (step.next.state == PinState::Quarantined) held.push_back(step.next.name);
  }
  if (!entries.empty()) CO_TRY_VOID(co_await record(std::move(entries)));
  CO_TRY(auto after, co_await apply(sighting.target, std::move(steps), news ? &catalogue : nullptr));
  for (const auto& name : held) event.pins.push_back(after->pins.at({sighting.kind, name}));
  if (links.on_event && !event.pins.empty()) links.on_event(event);
  co_return after;
}

awaitable<Result<PinPtr>> ToolPins::State::review(PinReview review) {
  const auto turn = co_await turns.take();
  const auto before = of(review.target);
  const auto* pin = before->find(review.kind, review.name);
  if (pin == nullptr) co_return fail(ErrorKind::Denied, std::string("nothing is known of a ") + to_string(review.kind) + " \"" + review.name.substr(0, 100) + "\" of this target");
  CO_TRY(auto step, reviewed(*pin, review, clock.wall_ns()));
  std::vector<evidence::Entry> entries;
  entries.push_back(entry_of(step, review.target, *review.who, review.peer, review.request_id, review.reason));
  CO_TRY_VOID(co_await record(std::move(entries)));
  std::vector<PinStep> steps;
  steps.push_back(std::move(step));
  CO_TRY(auto after, co_await apply(review.target, std::move(steps), nullptr));
  auto out = after->pins.at({review.kind, review.name});
  if (links.on_event) links.on_event({review.accept ? "accepted" : "rejected", review.target, review.request_id, {out}});
  co_return out;
}

Result<std::unique_ptr<ToolPins>> ToolPins::open(state::Store& store, evidence::Log& log, PinLinks links, const Clock& clock) {
  auto begin = [](state::Store& s, evidence::Log& l, PinLinks around, const Clock& c) -> awaitable<std::pair<std::shared_ptr<State>, std::string>> {
    auto state = std::make_shared<State>(s, l, std::move(around), c);  // here, for its port belongs to this thread
    auto loaded = state->load();
    co_return std::pair(state, loaded ? std::string() : loaded.error().what);
  };
  auto [state, why] = boost::asio::co_spawn(store.context(), begin(store, log, std::move(links), clock), boost::asio::use_future).get();
  std::unique_ptr<ToolPins> out(new ToolPins(std::move(state)));
  if (!why.empty()) return fail(ErrorKind::Unavailable, "the pinned tools cannot be read: " + why);
  return out;
}

ToolPins::ToolPins(std::shared_ptr<State> state) : state_(std::move(state)) {}

ToolPins::~ToolPins() {
  // On the store's thread and waited for: the port dies where it lived, and no step is half done.
  auto end = [](std::shared_ptr<State> state) -> awaitable<void> {
    const auto turn = co_await state->turns.take();
    state->port.reset();
  };
  auto state = std::move(state_);
  boost::asio::co_spawn(state->store.context(), end(state), boost::asio::use_future).get();
}

TargetPinsPtr ToolPins::of(const std::string& target) const { return state_->of(target); }

std::map<std::string, std::size_t> ToolPins::waiting() const {
  std::map<std::string, std::size_t> out;
  const std::lock_guard lock(state_->mutex);
  for (const auto& [target, pins] : state_->targets)
    if (const auto count = pins->waiting(); count != 0) out[target] = count;
  return out;
}

awaitable<Result<TargetPinsPtr>> ToolPins::observe(Sighting sighting) {
  const auto state = state_;
  co_return co_await state->store.host(state->observe(std::move(sighting)));
}

awaitable<Result<PinPtr>> ToolPins::review(PinReview review) {
  const auto state = state_;
  co_return co_await state->store.host(state->review(std::move(review)));
}

}  // namespace sallyport::enforce
