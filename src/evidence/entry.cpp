#include "evidence/entry.h"

#include <stdexcept>

#include "evidence/cbor.h"

namespace sallyport::evidence {

const char* to_string(Kind kind) {
  static constexpr std::array kNames = {
      "node.start", "node.stop", "recovery", "heartbeat", "config.applied", "auth.ok", "auth.failed", "session.open",
      "session.close", "command", "outcome", "approval.requested", "approval.granted", "approval.denied",
      "approval.expired", "approval.used", "gap", "admin.action", "evidence.read", "sink.failed", "sink.recovered",
      "prune", "hold", "erase", "key.epoch", "tool.trust"};
  const auto at = static_cast<std::size_t>(kind) - 1;
  return at < kNames.size() ? kNames[at] : "unknown";
}

std::string utf8(std::string_view text) {
  if (cbor::is_utf8(text)) return std::string(text);
  std::string out;
  while (!text.empty()) {
    std::size_t n = 1;
    while (n <= 4 && n <= text.size() && !cbor::is_utf8(text.substr(0, n))) ++n;
    if (n <= 4 && n <= text.size()) {
      out += text.substr(0, n);
      text.remove_prefix(n);
    } else {
      out += "\xEF\xBF\xBD";
      text.remove_prefix(1);
    }
  }
  return out;
}

namespace {

/// Bodies of entries that this thread is done with.
std::vector<Bytes>& idle_bodies() {
  thread_local std::vector<Bytes> idle;
  return idle;
}

}  // namespace

void Entry::retire() {
  constexpr std::size_t kKept = 4096, kUsual = 1024;
  session_.reset();
  place_.reset();
  command_.reset();
  chunks_.clear();
  veiled_ = {};
  auto body = std::exchange(body_, {});
  if (body.capacity() > kUsual || idle_bodies().size() >= kKept) return;
  body.clear();
  idle_bodies().push_back(std::move(body));
}

void Entry::key(Field field) {
  const auto number = static_cast<std::uint8_t>(field);
  if (number <= last_key_ || field == Field::Totals) throw std::logic_error("evidence fields must be set in ascending order");
  if (field > Field::Totals && totals_at_ < 0) totals_at_ = static_cast<std::ptrdiff_t>(body_.size());
  last_key_ = number;
  if (fields_++ == 0) {
    if (auto& idle = idle_bodies(); idle.empty()) {
      body_.reserve(256);
    } else {
      body_ = std::move(idle.back());
      idle.pop_back();
    }
  }
  cbor::put_uint(body_, number);
}

Entry& Entry::text(Field field, std::string_view value) {
  if (value.empty()) return *this;
  key(field);
  const auto at = body_.size();
  const auto put = [&](std::string_view clean) {
    cbor::put_text(body_, clean);
    if (field != Field::Subject && field != Field::Approver) return;
    const auto end = static_cast<std::uint32_t>(body_.size());
    people_[people_count_++] = {static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(end - clean.size()), end};
  };
  if (cbor::is_utf8(value)) put(value);
  else put(utf8(value));
  return *this;
}

Entry& Entry::uint(Field field, std::uint64_t value) {
  key(field);
  cbor::put_uint(body_, value);
  if (field == Field::Decision) allowed_ = value == static_cast<std::uint64_t>(Decision::Allowed);
  if (field == Field::CommandIndex) command_index_ = value;
  return *this;
}

Entry& Entry::bytes(Field field, ByteView value) {
  key(field);
  cbor::put_bytes(body_, value);
  return *this;
}

Entry& Entry::texts(Field field, const std::vector<std::string>& values) {
  if (values.empty()) return *this;
  key(field);
  cbor::put_array(body_, values.size());
  for (const auto& value : values) {
    if (cbor::is_utf8(value)) cbor::put_text(body_, value);
    else cbor::put_text(body_, utf8(value));
  }
  return *this;
}

namespace {

/// In the order of the encoded keys: shorter ones first, then by their bytes. Two keys that only differ in what is not
/// UTF-8 become one.
template <class Value, class Put>
void put_sorted(Bytes& out, const std::map<std::string, Value>& values, Put put) {
  const auto order = [](const std::string& a, const std::string& b) {
    return a.size() != b.size() ? a.size() < b.size() : a < b;
  };
  std::map<std::string, Value, decltype(order)> sorted(order);
  for (const auto& [name, value] : values) sorted.emplace(utf8(name), value);
  cbor::put_map(out, sorted.size());
  for (const auto& [name, value] : sorted) {
    cbor::put_text(out, name);
    put(value);
  }
}

}  // namespace

Entry& Entry::map(Field field, const std::map<std::string, std::string>& values) {
  if (values.empty()) return *this;
  key(field);
  put_sorted(body_, values, [this](const std::string& value) { cbor::put_text(body_, utf8(value)); });
  return *this;
}

Entry& Entry::counts(Field field, const std::map<std::string, std::uint64_t>& values) {
  if (values.empty()) return *this;
  key(field);
  put_sorted(body_, values, [this](std::uint64_t value) { cbor::put_uint(body_, value); });
  return *this;
}

Entry& Entry::payload(Field field, const PayloadRef& ref) {
  key(field);
  cbor::put_array(body_, 5);
  cbor::put_uint(body_, ref.first_chunk);
  cbor::put_uint(body_, ref.chunks);
  cbor::put_bytes(body_, ref.ciphertext);
  cbor::put_bytes(body_, ref.commitment);
  cbor::put_uint(body_, ref.plain_bytes);
  return *this;
}

}  // namespace sallyport::evidence
