#include "world.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "evidence/cosignature.h"

namespace sallyport::simulation {

using namespace evidence;
using Fault = NotaryHost::Fault;

World::World(std::uint64_t seed, const std::string& room, Defect defect, Tally& tally)
    : random_(seed), room_(room), defect_(defect), tally_(tally) {
  Digest seed_of_key;
  for (auto& byte : seed_of_key) byte = static_cast<std::uint8_t>(random_());
  const auto key = signer_from_seed(kOrigin, seed_of_key);
  signer_key_ = signer_key_text(key);
  verifier_key_ = verifier_key_of(key);
  const auto count = chance(75) ? 2u : 3u;
  policy_.quorum = 1 + below(count);
  policy_.every_ns = 500 * kMillisecond;
  policy_.refuse_after_ns = chance(80) ? 3000 * kMillisecond : 0;
  attacks_ = chance(60);
  faults_ = chance(50) ? 25 : 7;
  epoch_ns_ = (chance(50) ? 2'000 : 3'600'000) * kMillisecond;
  for (std::size_t i = 0; i < count; ++i) {
    Host host;
    for (auto& byte : seed_of_key) byte = static_cast<std::uint8_t>(random_());
    host.key = signer_from_seed("witness" + std::to_string(i), seed_of_key);
    host.directory = room_ + "/witness" + std::to_string(i);
    host.verifier = cosigner_key_of(host.key);
    std::filesystem::remove_all(host.directory);
    policy_.witnesses.push_back({"", *parse_cosigner_key(host.verifier)});
    witnesses_.push_back(std::move(host));
    open_witness(i);
  }
  // One of three that may lie, beside a gateway that is honest: it must stop nothing.
  if (!attacks_ && count == 3 && policy_.quorum == 2) truth_.liar = seed % count;
  gateways_.push_back(new_gateway());
}

World::~World() {
  tally_.heads += truth_.heads();
  tally_.forks += truth_.forks();
  tally_.tampered += truth_.tampered;
}

std::unique_ptr<Gateway> World::new_gateway() {
  return std::make_unique<Gateway>(Gateway::Setup{room_ + "/gateway" + std::to_string(gateways_.size()), signer_key_, policy_, epoch_ns_, defect_}, random_, truth_);
}

void World::did(const std::string& what) {
  last_steps_.push_back(fmt::format("{:>7} ms  {}", now_ / kMillisecond, what));
  if (last_steps_.size() > 60) last_steps_.pop_front();
}

std::string World::run() {
  ++tally_.runs;
  const auto steps = 60 + below(140);
  for (std::uint64_t i = 0; i < steps && truth_.violation.empty(); ++i) step();
  if (truth_.violation.empty()) settle();
  for (auto& gateway : gateways_)
    if (truth_.violation.empty()) judge(*gateway);
  if (truth_.violation.empty()) return "";
  auto out = truth_.violation + "\nthe last steps were:";
  for (const auto& one : last_steps_) out += "\n  " + one;
  return out;
}

void World::step() {
  ++tally_.steps;
  advance(kMillisecond + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(kTickMost))));
  for (auto& gateway : gateways_) work(*gateway, true);
  if (chance(faults_)) a_fault();
  if (attacks_ && chance(3)) an_attack();
  if (chance(10)) auditor_takes_a_head();
  for (auto& gateway : gateways_) gateway->look(now_);
}

void World::advance(std::int64_t by) {
  now_ += by;
  // In the order in which they arrive, which is not that in which they were sent.
  std::ranges::sort(late_, {}, &Late::at);
  while (!late_.empty() && late_.front().at <= now_) {
    const auto one = late_.front();
    late_.pop_front();
    did(fmt::format("a late submission reaches witness {}: {}", one.witness, deliver(one.witness, one.body).status));
  }
}

void World::work(Gateway& gateway, bool with_faults) {
  if (!gateway.runs() && (!with_faults || chance(30))) {
    gateway.start(now_, wall());
    if (gateway.runs()) did(fmt::format("a gateway starts with {} entries", gateway.disk().history.size()));
  }
  if (with_faults) {
    for (auto n = below(4); n > 0; --n) {
      const bool taken = gateway.command(now_, wall(), std::to_string(1'000'000 + ++commands_));
      ++(taken ? tally_.taken : tally_.refused);
    }
    // A turn of the epoch is when a notary has most to lose.
    if (chance(faults_ / 2 + (gateway.announces() ? 30 : 0))) {
      const auto fault = static_cast<Fault>(1 + below(5));
      did(fmt::format("the notary's next request meets fault {}", static_cast<int>(fault)));
      gateway.notary().fails(fault, chance(50));
    }
  }
  gateway.announce(now_, wall());
  if (!with_faults || chance(80)) gateway.sync(now_);
  if (!with_faults || chance(70)) gateway.sign(now_);
  const bool alarmed = !gateway.disk().alarm.empty();
  gateway.round(now_, wall(), [&](std::size_t i, const std::string& body) { return post(i, body, with_faults); });
  if (!alarmed && !gateway.disk().alarm.empty()) ++tally_.alarms, did("ALARM: " + gateway.disk().alarm);
}

void World::a_fault() {
  auto& gateway = *gateways_[below(gateways_.size())];
  const auto i = below(witnesses_.size());
  auto& host = witnesses_[i];
  switch (below(9)) {
    case 0:
    case 1: {
      const bool power = chance(50);
      if (gateway.runs()) did(fmt::format("a gateway with {} entries {}", gateway.disk().history.size(), power ? "loses its power" : "is killed"));
      return gateway.crash(power);
    }
    case 2:
      host.up = !host.up;
      if (host.up) open_witness(i);
      return did(fmt::format("witness {} {}", i, host.up ? "comes" : "goes"));
    case 3:
      host.cut = !host.cut;
      return did(fmt::format("witness {} is {}", i, host.cut ? "cut off" : "connected"));
    case 4: return crash_witness(i);
    case 5:
      // Within what the verifier forgives: a clock that is further off is a fault, and rightly (tests/unit/tamper/time_test.cpp).
      step_ = static_cast<std::int64_t>(below(200)) * 1'000 * kMillisecond - 100'000 * kMillisecond;
      return did("the clocks are set");
    case 6:
      for (auto& one : witnesses_) one.cut = false;
      return did("every witness is connected");
    case 7:
      snapshot_ = gateway.state();
      return did(fmt::format("a snapshot at {} entries", gateway.disk().history.size()));
    default:
      if (!gateway.runs()) return;
      did("a gateway is stopped in order");
      gateway.stop(now_, wall());
      gateway.crash(false);
  }
}

void World::an_attack() {
  auto& gateway = *gateways_[below(gateways_.size())];
  switch (below(8)) {
    case 0:
    case 1:
    case 2: {
      if (!snapshot_) return;
      const bool live = chance(40);
      did(fmt::format("a machine with {} entries is put back to {}{}", gateway.disk().history.size(), snapshot_->disk.history.size(), live ? ", running" : ""));
      truth_.tampered = truth_.rolled_back = true;
      return gateway.put_back(*snapshot_, live, now_);
    }
    case 3: return fork();
    case 4:
      if (!snapshot_) return;
      did(fmt::format("a disk with {} entries is put back to {}", gateway.disk().history.size(), snapshot_->disk.history.size()));
      truth_.tampered = disk_was_put_back_ = true;
      truth_.rolled_back = truth_.rolled_back || notary_was_put_back_;   // in two steps
      return gateway.put_back_disk(*snapshot_);
    case 5:
      if (!snapshot_) return;
      did(fmt::format("a notary is put back to {} entries", snapshot_->notary.history.size()));
      truth_.tampered = truth_.epochs_began_anew = notary_was_put_back_ = true;
      truth_.rolled_back = truth_.rolled_back || disk_was_put_back_;
      return gateway.notary().put_back(snapshot_->notary);
    case 6: {
      did("an entry is edited");
      return chance(50) ? gateway.edit_alive() : gateway.edit_asleep();
    }
    default:
      did("the past is forged with the key");
      return gateway.forge();
  }
}

void World::fork() {
  if (!snapshot_ || gateways_.size() > 1) return;
  did(fmt::format("a second machine runs from the snapshot at {} entries", snapshot_->disk.history.size()));
  truth_.tampered = truth_.rolled_back = true;
  gateways_.push_back(new_gateway());
  gateways_.back()->put_back(*snapshot_, chance(50), now_);
}

void World::open_witness(std::size_t i) {
  auto& host = witnesses_[i];
  auto opened = anchor::Witness::open(host.directory, host.key, {*parse_verifier_key(verifier_key_)});
  if (!opened) return truth_.violated("a witness does not start: " + opened.error().what);
  host.witness = std::move(*opened);
}

void World::crash_witness(std::size_t i) {
  did(fmt::format("witness {} crashes", i));
  if (defect_ == Defect::ForgetfulWitness) std::filesystem::remove_all(witnesses_[i].directory);
  open_witness(i);
}

Answer World::deliver(std::size_t i, const std::string& body) {
  auto& host = witnesses_[i];
  if (!host.up) return {};
  const auto answer = host.witness->add_checkpoint(body, static_cast<std::uint64_t>(wall()) / 1'000'000'000);
  if (answer.status == 200) truth_.is_cosigned(i, body.substr(body.find("\n\n") + 2));
  return {static_cast<long>(answer.status), answer.body};
}

Answer World::post(std::size_t i, const std::string& body, bool with_faults) {
  const auto turn = now_ / (700 * kMillisecond);
  if (truth_.liar == i && turn % 2 == 0) return turn % 4 == 0 ? Answer{409, "1000000000\n"} : Answer{422, "no\n"};
  if (!with_faults) return deliver(i, body);
  if (witnesses_[i].cut) return {};
  const auto later = [&] { late_.push_back({now_ + static_cast<std::int64_t>(below(5000)) * kMillisecond, i, body}); };
  const auto fate = below(100);
  if (fate < 5) return {};
  if (fate < 10) return later(), Answer{};
  auto answer = deliver(i, body);
  did(fmt::format("witness {} is asked and answers {} {}", i, answer.status, answer.status == 409 ? answer.body.substr(0, answer.body.size() - 1) : ""));
  if (fate < 15) later();
  else if (fate < 20) return did("… which is lost"), Answer{};
  else if (fate < 22) return crash_witness(i), Answer{};
  return answer;
}

void World::auditor_takes_a_head() {
  const auto& names = gateways_[below(gateways_.size())]->disk().names;
  // What reaches him may be late, and older than what he has.
  if (const auto& note = names[below(names.size())]; !note.empty()) kept_.push_back(note);
}

/// Nothing fails any more: in so many rounds everything is signed and witnessed, or somebody was told why not.
void World::settle() {
  did("nothing fails any more");
  for (auto& host : witnesses_) host.cut = false, host.up = true;
  for (std::size_t i = 0; i < witnesses_.size(); ++i) open_witness(i);
  advance(6'000 * kMillisecond);
  for (auto& gateway : gateways_) gateway->notary().fails(Fault::None, false);
  constexpr int kRounds = 30;
  for (int i = 0; i < kRounds && truth_.violation.empty(); ++i) {
    advance(500 * kMillisecond);
    for (auto& gateway : gateways_) work(*gateway, false);
    if (i >= 8 && std::ranges::all_of(gateways_, [](const auto& one) { return one->ended(); })) break;
  }
  for (auto& gateway : gateways_) {
    if (!truth_.violation.empty()) return;
    if (!gateway->ended()) return truth_.violated(fmt::format("a gateway with {} entries does not get all of them signed and witnessed", gateway->disk().history.size()));
  }
  for (auto& gateway : gateways_) {
    gateway->stop(now_, wall());
    advance(500 * kMillisecond);
    for (int k = 0; k < 4; ++k) gateway->round(now_, wall(), [&](std::size_t i, const std::string& body) { return post(i, body, false); });
    tally_.entries += gateway->disk().history.size();
    tally_.starts_refused += gateway->takes_nothing() && gateway->disk().alarm.empty();
  }
}

verify::Report World::verified(const Gateway& gateway, bool honest) const {
  auto disk = gateway.disk();
  const auto folder = room_ + "/verified";
  if (honest) {
    // Also those whose note nobody got.
    disk.checkpoints.clear();
    for (const auto& note : truth_.notes()) disk.checkpoints += note + "\n";
  }
  disk.write(folder);
  verify::Settings settings;
  settings.directory = folder;
  std::string why;
  settings.key = *verify::parse_key(verifier_key_, why);
  settings.quorum = honest ? policy_.quorum : 0;
  const auto keep = [&](const std::string& note) {
    settings.kept_heads.push_back(folder + "/kept" + std::to_string(settings.kept_heads.size()));
    write_file(settings.kept_heads.back(), as_bytes(note));
  };
  for (const auto& note : kept_) keep(note);
  for (const auto& host : witnesses_) {
    settings.witnesses.push_back(*verify::parse_witness_key(host.verifier, why));
    if (const auto last = host.witness->checkpoint(hex(sha256(as_bytes(kOrigin)))); last.status == 200) keep(last.body);
  }
  return verify::check(settings);
}

void World::judge(Gateway& gateway) {
  const auto& history = gateway.disk().history;
  const bool told = gateway.takes_nothing();
  const bool honest = !truth_.tampered;
  if (honest && told) return truth_.violated("an honest gateway takes nothing any more");
  // By a head that lies there or that somebody kept. One that was signed and reached nobody contradicts nothing.
  const auto& disk = gateway.disk();
  bool contradicted = std::ranges::any_of(kept_, [&](const auto& note) { return !truth_.is_prefix(note, history); });
  for (const auto& note : truth_.notes()) {
    const bool is_there = disk.checkpoint() == note || disk.checkpoints.contains(note) || disk.all_witnessed.contains(note);
    contradicted = contradicted || (is_there && !truth_.is_prefix(note, history));
  }
  for (std::size_t i = 0; i < witnesses_.size(); ++i) {
    if (truth_.is_prefix(i, history)) continue;
    contradicted = true;
    if (!told && !gateway.warned_of(i) && !gateway.is_malicious()) return truth_.violated(fmt::format("witness {} cosigned what the log does not continue, and nobody was told", i));
  }
  if (!told && !gateway.is_malicious() && !truth_.holds_witnessed(history)) return truth_.violated("an entry that a quorum witnessed is missing, and nobody was told");
  const auto report = verified(gateway, honest);
  if (honest && report.verdict != verify::Report::Valid) return truth_.violated("the verifier does not call an honest log valid:\n" + verify::to_text(report));
  if (contradicted && report.verdict != verify::Report::Invalid) return truth_.violated("the verifier does not condemn a log that a kept head contradicts");
  if (!contradicted && !told && !truth_.epochs_began_anew && report.verdict == verify::Report::Invalid) return truth_.violated("the verifier condemns a log that nothing contradicts:\n" + verify::to_text(report));
  tally_.condemned += report.verdict == verify::Report::Invalid;
}

}  // namespace sallyport::simulation
