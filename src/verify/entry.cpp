#include "verify/entry.h"

#include <cstring>
#include <ctime>
#include <memory>
#include <type_traits>

#include "verify/cbor.h"
#include "verify/veil.h"

namespace sallyport::verify {
namespace {

constexpr const char* kNames[] = {"?", "node.start", "node.stop", "recovery", "heartbeat", "config.applied", "auth.ok", "auth.failed", "session.open",
                                  "session.close", "command", "outcome", "approval.requested", "approval.granted", "approval.denied", "approval.expired",
                                  "approval.used", "gap", "admin.action", "evidence.read", "sink.failed", "sink.recovered", "prune", "hold", "erase", "key.epoch", "tool.trust"};

/// A byte string of just this size.
template <std::size_t N>
[[gnu::always_inline]] inline bool exactly(Cbor& reader, std::array<std::uint8_t, N>& out) {
  const auto bytes = reader.bytes();
  if (bytes.size() != N) return false;
  std::memcpy(out.data(), bytes.data(), N);
  return true;
}

/// Texts and counts of masks, rules and groups: well-formed, ordered, not empty.
bool skip_map(Cbor& reader, bool counts) {
  const auto n = reader.map();
  std::string_view before;
  for (std::uint64_t i = 0; reader.ok() && i < n; ++i) {
    const auto key = reader.text();
    // Deterministic order of text keys: by length, then by bytes.
    if (i > 0 && (key.size() < before.size() || (key.size() == before.size() && key <= before))) return false;
    before = key;
    if (counts) reader.uint();
    else reader.text();
  }
  return reader.ok() && n > 0;
}

[[gnu::always_inline]] inline bool skip_texts(Cbor& reader) {
  const auto n = reader.array();
  for (std::uint64_t i = 0; reader.ok() && i < n; ++i) reader.text();
  return reader.ok() && n > 0;
}

[[gnu::always_inline]] inline bool read_payload(Cbor& reader, Payload& out) {
  bool ok = reader.array() == 5;
  out.first = reader.uint();
  out.chunks = reader.uint();
  ok &= exactly(reader, out.ciphertext);
  ok &= exactly(reader, out.commitment);
  out.bytes = reader.uint();
  return ok && reader.ok() && out.chunks >= 1 && out.chunks <= std::uint64_t{1} << 24 && out.first % (std::uint64_t{1} << 24) == 0;
}

/// Most values are a few instructions, and the reader stays in registers: those that take more read aside.
[[gnu::always_inline]] inline bool take_value(Cbor& reader, std::uint64_t key, Entry& out) {
  bool ok = true;
  const auto text = [&](std::string_view& into) __attribute__((always_inline)) { into = reader.text(); return reader.ok() && !into.empty(); };
  const auto skip_aside = [&](bool counts) __attribute__((always_inline)) {
    Cbor other = reader;
    const bool fine = skip_map(other, counts);
    reader = other;
    return fine;
  };
  const auto from = reader.at();
  switch (key) {
    case 1: out.index = reader.uint(); break;
    case 2: out.wall = reader.uint(); break;
    case 3: out.mono = reader.uint(); break;
    case 4: ok = exactly(reader, out.incarnation); break;
    case 5: ok = exactly(reader, out.session.emplace()); break;
    case 6: out.sequence = reader.uint(); break;
    case 7: {
      const auto kind = reader.uint();
      ok = kind >= 1 && kind <= 26;
      out.kind = static_cast<Kind>(ok ? kind : 1);
      break;
    }
    case 8: return text(out.request);
    case 9: return text(out.subject);
    case 20: return text(out.approval);
    case 21: return text(out.action);
    case 22: return text(out.object);
    case 35: return text(out.approver);
    case 10: return text(out.issuer);
    case 11: return text(out.agent);
    case 13: return text(out.target);
    case 14: return text(out.peer);
    case 15: return text(out.protocol);
    case 16: return text(out.software);
    case 27: return text(out.error);
    case 33: return text(out.reason);
    case 38: return text(out.name);
    case 12: return skip_texts(reader);
    case 19: ok = skip_texts(reader); out.rules = reader.since(from); break;
    case 17: ok = exactly(reader, out.policy.emplace()); break;
    case 41: ok = exactly(reader, out.discarded_digest.emplace()); break;
    case 37: ok = exactly(reader, out.digest.emplace()); break;
    case 18: out.decision = reader.uint(); ok = out.decision >= 1 && out.decision <= 3; break;
    case 23: return skip_aside(false);
    case 24: return read_payload(reader, out.payload.emplace());
    case 25: ok = skip_aside(true); out.masked = reader.since(from); break;
    case 26: out.result = reader.uint(); ok = out.result >= 1 && out.result <= 6; break;
    case 28: out.items = reader.uint(); break;
    case 29: out.sent = reader.uint(); break;
    case 30: out.duration = reader.uint(); break;
    case 36: reader.uint(); break;
    case 31: out.command = reader.uint(); break;
    case 32: {
      ok = reader.array() == 4;
      for (auto& one : out.totals.emplace()) one = reader.uint();
      break;
    }
    case 34: out.quorum = reader.uint(); break;
    case 39: ok = reader.bytes().size() == 16; break;
    case 40: out.discarded = reader.uint(); break;
    case 42: out.signed_size = reader.uint(); break;
    case 43: ok = exactly(reader, out.before.emplace()); break;
    case 44: ok = exactly(reader, out.epoch_key.emplace()); break;
    case 45: out.epoch = reader.uint(); ok = *out.epoch >= 1; break;
    case 46: out.first = reader.uint(); break;
    case 47: ok = exactly(reader, out.root.emplace()); break;
    case 48: return skip_texts(reader);
    case 49: reader.uint(); break;
    case 50: return !reader.text().empty() && reader.ok();
    case 51: reader.uint(); break;
    case 52: return text(out.approver_issuer);
    case 53: {
      const auto digest = reader.bytes();
      out.veiled_digest = digest.data();
      ok = digest.size() == 32;
      break;
    }
    default: return false;
  }
  return ok && reader.ok();
}

/// A veil in place of a field that can have one.
bool read_veil(Cbor& reader, std::size_t place, Entry& out) {
  const auto veil = reader.bytes();
  out.veils[place] = veil.data();
  out.veiled |= static_cast<std::uint8_t>(1u << place);
  return veil.size() == 32;
}

std::string safe(std::string_view text, std::size_t most) {
  std::string out;
  for (const char c : text.substr(0, most)) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7F || static_cast<unsigned char>(c) >= 0x80 ? '?' : c;
  return out;
}

}  // namespace

const char* name_of(Kind kind) {
  const auto at = static_cast<std::size_t>(kind);
  return at < std::size(kNames) ? kNames[at] : "?";
}

bool read_value(Cbor& reader, std::uint64_t key, Entry& out) { return take_value(reader, key, out); }

static_assert(std::is_trivially_destructible_v<Entry>);

namespace {

std::string no_value(std::uint64_t key) { return "its key " + std::to_string(key) + " is not what the format says"; }

constexpr std::integer_sequence<std::uint64_t, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 28, 29, 30, 31> kInOrder;

/// Keys that most entries of version 1 have, one after the other: the same as the loop over any keys, without its jumps to
/// where each belongs. Stops at the first other key. The key whose value is none, or 0.
template <std::uint64_t... kKeys>
[[gnu::always_inline]] inline std::uint64_t take_in_order(Cbor& reader, std::uint64_t count, Entry& out, std::uint64_t& taken, std::uint64_t& before, std::uint64_t& seen,
                                                          std::integer_sequence<std::uint64_t, kKeys...>) {
  std::uint64_t wrong = 0;
  const auto take = [&]<std::uint64_t kKey>() __attribute__((always_inline)) {
    if (taken == count || !reader.skip<kKey>()) return true;
    ++taken, before = kKey, seen |= std::uint64_t{1} << kKey;
    if (take_value(reader, kKey, out)) return true;
    return wrong = kKey, false;
  };
  (void)(take.template operator()<kKeys>() && ...);
  return wrong;
}

}  // namespace

std::string read_entry(View bytes, Entry& out) {
  std::construct_at(&out);  // an assignment would look at each optional first
  if (bytes.empty() || bytes.size() > 65535) return "its size is not 1 to 65535 bytes";
  const bool second = bytes[0] == 2;
  if (bytes[0] != 1 && !second) return "its format version is unknown";
  Cbor reader(bytes.subspan(1));
  const auto count = reader.map();
  std::uint64_t before = 0, seen = 0, i = 0;
  if (!second)
    if (const auto wrong = take_in_order(reader, count, out, i, before, seen, kInOrder); wrong != 0) return no_value(wrong);
  for (; reader.ok() && i < count; ++i) {
    const auto key = reader.uint();
    if (!reader.ok() || key <= before) return "its keys are not in ascending order";
    before = key;
    if (key < 64) seen |= std::uint64_t{1} << key;
    const auto veiled = second && reader.next_is_bytes() ? place_of(key) : std::nullopt;
    if (veiled ? !read_veil(reader, *veiled, out) : !take_value(reader, key, out)) return no_value(key);
  }
  if (!reader.ok() || !reader.at_end()) return "it is not one deterministic CBOR map";
  out.seen = seen;
  out.hidden = out.veiled;
  const auto has = [&](int key) { return (seen >> key & 1) != 0; };
  if (!has(1) || !has(2) || !has(3) || !has(4) || !has(7)) return "one of its keys 1, 2, 3, 4 and 7 is missing";
  if (has(5) != has(6)) return "it has only one of session and sequence";
  if ((out.kind == Kind::SessionClose) != has(32)) return "totals belong to session.close, and always";
  const bool in_session = out.kind == Kind::SessionOpen || out.kind == Kind::SessionClose || out.kind == Kind::Command || out.kind == Kind::Outcome;
  if (in_session && !has(5)) return "it belongs to a session and names none";
  if (out.kind == Kind::KeyEpoch && (!has(44) || !has(45))) return "an announcement without its key or its number";
  if (out.kind == Kind::Command && !has(18)) return "a command without a decision";
  if (out.kind == Kind::Outcome && (!has(26) || !has(31))) return "an outcome without its result or its command";
  if (second != has(53) || second != (out.veiled != 0)) return "veils and their digest belong to version 2, and always";
  if ((out.veiled & ~may_be_veiled(out.kind)) != 0) return "a field is veiled that is not in entries of its kind";
  return "";
}

std::string approver_of(const Entry& entry) {
  return std::string(entry.approver) + "\n" + std::string(entry.approver_issuer.empty() ? entry.subject : entry.approver_issuer);
}

std::string describe(const Entry& entry) {
  const std::time_t seconds = static_cast<std::time_t>(entry.wall / 1'000'000'000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char when[32] = "";
  std::strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &parts);
  std::string out = "entry " + std::to_string(entry.index) + " (" + name_of(entry.kind);
  if (!entry.action.empty()) out += " " + safe(entry.action, 60);
  if (!entry.object.empty()) out += " " + safe(entry.object, 80);
  if (!entry.subject.empty()) out += " by " + safe(entry.subject, 60);
  if (entry.session) out += ", session " + hex(View(*entry.session).first(4));
  return out + ", " + when + ")";
}

}  // namespace sallyport::verify
