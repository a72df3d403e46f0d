#include "enforce/tool_pin_rows.h"

#include <fmt/format.h>

namespace sallyport::enforce {
namespace {

std::string findings_text(const std::vector<Finding>& findings) {
  std::string out;
  for (const auto& one : findings)
    out += fmt::format("{}[{},{},{},{}]", out.empty() ? "" : ",", json::quote(one.kind), json::quote(one.place), json::quote(one.shown), one.grave);
  return "[" + out + "]";
}

Result<std::vector<Finding>> read_findings(std::string text) {
  TRY(const auto document, json::Document::parse(std::move(text)));
  std::vector<Finding> out;
  for (const auto row : document.root()) {
    std::vector<json::Value> columns;
    for (const auto column : row) columns.push_back(column);
    if (columns.size() != 4) return fail(ErrorKind::Unavailable, "the findings of a tool in the state database are damaged");
    out.push_back({std::string(columns[0].as_string()), std::string(columns[1].as_string()), std::string(columns[2].as_string()), columns[3].as_bool()});
  }
  return out;
}

Digest digest_of(const std::string& definition) { return definition.empty() ? Digest{} : sha256(as_bytes(definition)); }

}  // namespace

Result<std::vector<StoredCatalogue>> load_catalogues(state::Database& database) {
  std::vector<StoredCatalogue> out;
  auto select = database.prepare("SELECT target, kind, first_seen, complete FROM tool_catalogues");
  for (;;) {
    TRY(const bool row, select.step());
    if (!row) return out;
    out.push_back({select.text(0), static_cast<PinKind>(select.integer(1)), select.integer(2), select.integer(3) != 0});
  }
}

Result<std::vector<std::pair<std::string, Pin>>> load_pins(state::Database& database) {
  std::vector<std::pair<std::string, Pin>> out;
  auto select = database.prepare("SELECT target, kind, name, state, accepted, accepted_at, accepted_by, offered, offered_at, why, of, findings FROM tool_pins");
  for (;;) {
    TRY(const bool row, select.step());
    if (!row) return out;
    Pin pin;
    pin.kind = static_cast<PinKind>(select.integer(1));
    pin.name = select.text(2);
    pin.state = static_cast<PinState>(select.integer(3));
    pin.accepted = select.text(4);
    pin.accepted_digest = digest_of(pin.accepted);
    pin.accepted_wall_ns = select.integer(5);
    pin.accepted_by = select.text(6);
    pin.offered = select.text(7);
    pin.offered_digest = digest_of(pin.offered);
    pin.offered_wall_ns = select.integer(8);
    pin.why = select.text(9);
    pin.of = select.text(10);
    TRY(pin.findings, read_findings(select.text(11)));
    out.emplace_back(select.text(0), std::move(pin));
  }
}

Result<void> save_pins(state::Database& database, const std::string& target, const std::vector<PinPtr>& pins, const StoredCatalogue* catalogue) {
  state::Transaction transaction(database);
  if (!transaction.began()) return transaction.commit();
  for (const auto& pin : pins) {
    auto put = database.prepare(
        "INSERT INTO tool_pins (target, kind, name, state, accepted, accepted_at, accepted_by, offered, offered_at, why, of, findings) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT (target, kind, name) DO UPDATE SET state = ?4, accepted = ?5, "
        "accepted_at = ?6, accepted_by = ?7, offered = ?8, offered_at = ?9, why = ?10, of = ?11, findings = ?12");
    put.bind(1, target).bind(2, static_cast<int>(pin->kind)).bind(3, pin->name).bind(4, static_cast<int>(pin->state));
    put.bind(5, pin->accepted).bind(6, pin->accepted_wall_ns).bind(7, pin->accepted_by).bind(8, pin->offered).bind(9, pin->offered_wall_ns);
    TRY_VOID(put.bind(10, pin->why).bind(11, pin->of).bind(12, findings_text(pin->findings)).run());
  }
  if (catalogue != nullptr) {
    auto put = database.prepare(
        "INSERT INTO tool_catalogues (target, kind, first_seen, complete) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (target, kind) DO UPDATE SET complete = ?4");
    TRY_VOID(put.bind(1, target).bind(2, static_cast<int>(catalogue->kind)).bind(3, catalogue->first_seen_wall_ns).bind(4, catalogue->complete ? 1 : 0).run());
  }
  return transaction.commit();
}

}  // namespace sallyport::enforce
