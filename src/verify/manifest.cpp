#include "verify/manifest.h"

#include <algorithm>

#include "verify/json_text.h"
#include "verify/veil.h"

namespace sallyport::verify {
namespace {

template <class List, class One>
std::string list_of(const List& items, One one) {
  std::vector<std::string> out;
  for (const auto& item : items) out.push_back(one(item));
  return json_list(out);
}
const auto kNumber = [](std::uint64_t n) { return std::to_string(n); };
const auto kText = [](const std::string& text) { return json_string(text); };
std::string truth(bool value) { return value ? "true" : "false"; }

std::string write_query(const Query& q, bool veiled) {
  return "{\"disclose\":" + list_of(q.disclose, kNumber) + (veiled ? ",\"fields\":" + json_string(q.fields) : "") + ",\"from\":" + json_string(q.from) + ",\"from_index\":" + json_string(q.from_index) +
         ",\"kind\":" + json_string(q.kind) + ",\"payloads\":" + json_string(q.payloads) + ",\"sessions\":" + list_of(q.sessions, kText) +
         ",\"target\":" + json_string(q.target) + ",\"to\":" + json_string(q.to) + ",\"to_index\":" + json_string(q.to_index) +
         ",\"user\":" + json_string(q.user) + (veiled ? ",\"withhold\":" + list_of(q.withhold, kText) : "") + "}";
}

Query read_query(JsonCursor& in) {
  Query q;
  in.eat("{\"disclose\":");
  in.list('[', ']', [&] { q.disclose.push_back(in.number()); });
  if (in.next_is(",\"fields\":")) in.eat(",\"fields\":"), q.fields = in.string();
  in.eat(",\"from\":"), q.from = in.string();
  in.eat(",\"from_index\":"), q.from_index = in.string();
  in.eat(",\"kind\":"), q.kind = in.string();
  in.eat(",\"payloads\":"), q.payloads = in.string();
  in.eat(",\"sessions\":");
  in.list('[', ']', [&] { q.sessions.push_back(in.string()); });
  in.eat(",\"target\":"), q.target = in.string();
  in.eat(",\"to\":"), q.to = in.string();
  in.eat(",\"to_index\":"), q.to_index = in.string();
  in.eat(",\"user\":"), q.user = in.string();
  if (in.next_is(",\"withhold\":")) {
    in.eat(",\"withhold\":");
    in.list('[', ']', [&] { q.withhold.push_back(in.string()); });
  }
  in.eat("}");
  return q;
}

std::string write_members(const std::vector<MemberDigest>& members) {
  std::string out = "{";
  for (const auto& one : members) {
    if (out.size() > 1) out += ",";
    out += json_string(one.name) + ":";
    if (one.count) out += "{\"count\":" + std::to_string(*one.count) + ",\"sha256\":\"" + hex(one.digest) + "\"}";
    else out += "\"" + hex(one.digest) + "\"";
  }
  return out + "}";
}

template <std::size_t N>
std::array<std::uint8_t, N> read_hex(JsonCursor& in) {
  std::array<std::uint8_t, N> out{};
  const auto text = in.string();
  for (std::size_t i = 0; i < N && text.size() == 2 * N; ++i) {
    const auto digit = [&](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 0; };
    out[i] = static_cast<std::uint8_t>(digit(text[2 * i]) << 4 | digit(text[2 * i + 1]));
  }
  return out;  // what was no such text is found when it is written again
}

std::vector<MemberDigest> read_members(JsonCursor& in) {
  std::vector<MemberDigest> out;
  in.list('{', '}', [&] {
    auto& one = out.emplace_back();
    one.name = in.string();
    in.eat(":");
    if (in.next_is("{")) {
      in.eat("{\"count\":");
      one.count = in.number();
      in.eat(",\"sha256\":");
      one.digest = read_hex<32>(in);
      in.eat("}");
    } else {
      one.digest = read_hex<32>(in);
    }
  });
  return out;
}

std::string write_session(const ManifestSession& s) {
  return "{\"complete\":" + truth(s.complete) + ",\"entries\":" + std::to_string(s.entries) + ",\"erased\":" + truth(s.erased) + ",\"id\":\"" + hex(s.id) + "\"}";
}

ManifestSession read_session(JsonCursor& in) {
  ManifestSession s;
  in.eat("{\"complete\":"), s.complete = in.boolean();
  in.eat(",\"entries\":"), s.entries = in.number();
  in.eat(",\"erased\":"), s.erased = in.boolean();
  in.eat(",\"id\":"), s.id = read_hex<16>(in);
  in.eat("}");
  return s;
}

}  // namespace

Disposition disposition_of(const Query& query, std::uint64_t index, bool erased) {
  if (query.payloads == "opened" || std::binary_search(query.disclose.begin(), query.disclose.end(), index)) return erased ? Disposition::Erased : Disposition::Opened;
  return query.payloads == "sealed" ? Disposition::Sealed : Disposition::None;
}

std::string folder_of(std::string_view name) { return std::string(name.substr(0, name.find('/') + 1)); }

void MemberDigests::add(std::string_view name, const Hash& digest) {
  const auto folder = folder_of(name);
  if (lines_ && out_.back().name != folder) end_folder();
  if (folder.empty()) {
    out_.push_back({std::string(name), std::nullopt, digest});
    return;
  }
  if (!lines_) {
    lines_.emplace();
    out_.push_back({folder, 0, {}});
  }
  lines_->add(view(hex(digest) + "  " + std::string(name) + "\n"));
  ++*out_.back().count;
}

void MemberDigests::end_folder() {
  out_.back().digest = lines_->done();
  lines_.reset();
}

std::vector<MemberDigest> MemberDigests::done() {
  if (lines_) end_folder();
  return std::move(out_);
}

std::string write_manifest(const Manifest& m) {
  const auto number = [](const char* name, std::uint64_t n) { return "\"" + std::string(name) + "\":" + std::to_string(n); };
  std::string kinds;
  for (const auto& [name, count] : m.kinds) kinds += (kinds.empty() ? "" : ",") + json_string(name) + ":" + std::to_string(count);
  std::string out = "{" + number("a", m.a) + "," + number("b", m.b) + "," + number("checkpoints", m.checkpoints) + "," + number("contexts", m.contexts) + ",\"counts\":{" +
                    number("commands", m.commands) + "," + number("disclosed", m.disclosed) + "," + number("entries", m.b - m.a) + ",\"kinds\":{" + kinds + "}," +
                    number("outcomes", m.outcomes) + "," + number("sessions", m.sessions.size()) + "," + number("withheld", m.withheld) + "},";
  const bool veiled = m.format == kPackFormatVeiled;
  if (veiled) out += "\"fields\":{" + number("erased", m.fields_erased) + "," + number("opened", m.fields_opened) + "," + number("sealed", m.fields_sealed) + "," + number("withheld", m.fields_withheld) + "},";
  out += number("format", m.format);
  out += ",\"gaps\":" + list_of(m.gaps, kNumber) + ",\"members\":" + write_members(m.members);
  out += ",\"missing_policies\":" + list_of(m.missing_policies, [](const Hash& h) { return "\"" + hex(h) + "\""; });
  out += "," + number("names", m.names) + ",\"origin\":" + json_string(m.origin) + ",\"payloads\":{" + number("erased", m.erased) + "," + number("none", m.none) + "," +
         number("opened", m.opened) + "," + number("sealed", m.sealed) + "},\"query\":" + write_query(m.query, veiled) + "," + number("report", m.report);
  out += ",\"sessions\":" + list_of(m.sessions, write_session) + "," + number("size", m.size) + ",\"timestamps\":" + list_of(m.timestamps, kNumber) + ",\"tool\":" + json_string(m.tool);
  return out + "}\n";
}

std::optional<Manifest> read_manifest(std::string_view text) {
  JsonCursor in(text);
  Manifest m;
  const auto number = [&](const char* before, std::uint64_t& into) { in.eat(before), into = in.number(); };
  std::uint64_t ignored = 0;
  number("{\"a\":", m.a), number(",\"b\":", m.b), number(",\"checkpoints\":", m.checkpoints), number(",\"contexts\":", m.contexts);
  number(",\"counts\":{\"commands\":", m.commands), number(",\"disclosed\":", m.disclosed), number(",\"entries\":", ignored);
  in.eat(",\"kinds\":");
  in.list('{', '}', [&] {
    const auto name = in.string();
    in.eat(":"), m.kinds[name] = in.number();
  });
  number(",\"outcomes\":", m.outcomes), number(",\"sessions\":", ignored), number(",\"withheld\":", m.withheld), in.eat("}");
  if (in.next_is(",\"fields\":"))
    number(",\"fields\":{\"erased\":", m.fields_erased), number(",\"opened\":", m.fields_opened), number(",\"sealed\":", m.fields_sealed), number(",\"withheld\":", m.fields_withheld), in.eat("}");
  number(",\"format\":", m.format);
  in.eat(",\"gaps\":");
  in.list('[', ']', [&] { m.gaps.push_back(in.number()); });
  in.eat(",\"members\":"), m.members = read_members(in);
  in.eat(",\"missing_policies\":");
  in.list('[', ']', [&] { m.missing_policies.push_back(read_hex<32>(in)); });
  number(",\"names\":", m.names);
  in.eat(",\"origin\":"), m.origin = in.string();
  number(",\"payloads\":{\"erased\":", m.erased), number(",\"none\":", m.none), number(",\"opened\":", m.opened), number(",\"sealed\":", m.sealed);
  in.eat("},\"query\":"), m.query = read_query(in);
  number(",\"report\":", m.report);
  in.eat(",\"sessions\":");
  in.list('[', ']', [&] { m.sessions.push_back(read_session(in)); });
  number(",\"size\":", m.size);
  in.eat(",\"timestamps\":");
  in.list('[', ']', [&] { m.timestamps.push_back(in.number()); });
  in.eat(",\"tool\":"), m.tool = in.string();
  in.eat("}\n");
  if (!in.at_end() || write_manifest(m) != text) return std::nullopt;
  const auto& p = m.query.payloads;
  if ((p != "opened" && p != "sealed" && p != "none") || !std::is_sorted(m.query.disclose.begin(), m.query.disclose.end())) return std::nullopt;
  if (m.query.fields != "opened" && m.query.fields != "sealed") return std::nullopt;
  std::optional<std::size_t> before;
  for (const auto& name : m.query.withhold) {
    const auto place = place_of(name);
    if (!place || (before && *place <= *before)) return std::nullopt;
    before = place;
  }
  return m;
}

std::uint8_t withheld_of(const Query& query) {
  std::uint8_t out = 0;
  for (const auto& name : query.withhold)
    if (const auto place = place_of(name)) out |= static_cast<std::uint8_t>(1u << *place);
  return out;
}

std::string difference(const Manifest& a, const Manifest& b) {
  if (a.a != b.a || a.b != b.b || a.size != b.size) return "a, b or size";
  if (a.format != b.format) return "format";
  if (a.fields_erased != b.fields_erased || a.fields_opened != b.fields_opened || a.fields_sealed != b.fields_sealed || a.fields_withheld != b.fields_withheld) return "fields";
  if (a.checkpoints != b.checkpoints) return "checkpoints";
  if (a.contexts != b.contexts) return "contexts";
  if (a.names != b.names) return "names";
  if (a.commands != b.commands || a.disclosed != b.disclosed || a.outcomes != b.outcomes || a.withheld != b.withheld || a.kinds != b.kinds) return "counts";
  if (a.gaps != b.gaps) return "gaps";
  if (a.missing_policies != b.missing_policies) return "missing_policies";
  if (a.origin != b.origin) return "origin";
  if (a.erased != b.erased || a.none != b.none || a.opened != b.opened || a.sealed != b.sealed) return "payloads";
  if (a.sessions != b.sessions) return "sessions";
  if (a.timestamps != b.timestamps) return "timestamps";
  return "";
}

}  // namespace sallyport::verify
