// What is said of a pack, for people and for programs. See pack.h.
#include "verify/pack.h"

namespace sallyport::verify {

std::string to_json(const PackReport& r) {
  const auto number = [](const char* name, std::uint64_t n) { return "\"" + std::string(name) + "\":" + std::to_string(n) + ","; };
  std::string out = "{\"verdict\":\"" + std::string(!r.valid ? "invalid" : r.complete() ? "valid" : "incomplete") + "\",\"origin\":" + quote(r.origin) + ",\"tool\":" + quote(r.tool) + ",";
  out += number("a", r.a) + number("b", r.b) + number("size", r.size) + number("entries", r.b - r.a) + number("disclosed", r.disclosed) + number("withheld", r.withheld) + number("sessions", r.sessions) +
         number("complete_sessions", r.complete_sessions) + number("commands", r.commands) + number("outcomes", r.outcomes) + number("heads", r.heads) + number("opened_payloads", r.opened) +
         number("sealed_payloads", r.sealed) + number("erased_payloads", r.erased) + number("absent_payloads", r.absent) + number("opened_fields", r.opened_fields) + number("withheld_fields", r.withheld_fields) + number("erased_fields", r.erased_fields) + number("sealed_fields", r.sealed_fields) + number("timestamps", r.timestamps) + number("stamped_entries", r.stamped_entries) + number("stamped_at", r.stamped_at) + number("members", r.members) + number("bytes", r.bytes) +
         number("cosigned", r.cosigned) + number("fault_count", r.fault_count) + "\"faults\":[";
  for (std::size_t i = 0; i < r.faults.size(); ++i) {
    const auto& fault = r.faults[i];
    out += (i ? ",{" : "{") + std::string("\"code\":") + quote(fault.code) + ",\"what\":" + quote(fault.what);
    if (!fault.file.empty()) out += ",\"file\":" + quote(fault.file);
    if (fault.offset) out += ",\"offset\":" + std::to_string(*fault.offset);
    if (fault.index) out += ",\"index\":" + std::to_string(*fault.index);
    out += "}";
  }
  out += "],\"notes\":[";
  for (std::size_t i = 0; i < r.notes.size(); ++i) out += (i ? "," : "") + quote(r.notes[i]);
  return out + "]}";
}

std::string to_text(const PackReport& r) {
  std::string out;
  const auto n = [](std::uint64_t value, const char* what) { return std::to_string(value) + " " + what + (value == 1 ? "" : "s"); };
  for (const auto& fault : r.faults) {
    out += "FAULT " + fault.code + ": " + printable(fault.what);
    if (!fault.file.empty()) out += "\n      " + printable(fault.file);
    if (fault.offset) out += "\n      at byte " + std::to_string(*fault.offset);
    out += "\n";
  }
  if (r.fault_count > r.faults.size()) out += "… and " + std::to_string(r.fault_count - r.faults.size()) + " more\n";
  for (const auto& note : r.notes) out += "note: " + printable(note) + "\n";
  out += printable(r.origin) + ": entries " + std::to_string(r.a) + " to " + (r.b == r.a ? "none" : std::to_string(r.b - 1)) + " of " + std::to_string(r.size) + ", " + std::to_string(r.disclosed) + " disclosed, " +
         std::to_string(r.withheld) + " withheld; " + n(r.sessions, "session") + " (" + std::to_string(r.complete_sessions) + " complete), " + n(r.commands, "command") + ", " + n(r.outcomes, "outcome") + "; payloads: " +
         std::to_string(r.opened) + " opened, " + std::to_string(r.sealed) + " sealed, " + std::to_string(r.erased) + " erased, " + std::to_string(r.absent) + " not included\n";
  if (r.opened_fields + r.withheld_fields + r.erased_fields + r.sealed_fields > 0)
    out += "fields that are veiled in the log: " + std::to_string(r.opened_fields) + " opened, " + std::to_string(r.withheld_fields) + " withheld, " + std::to_string(r.erased_fields) + " erased, " + std::to_string(r.sealed_fields) + " sealed\n";
  return out + (r.valid ? std::string(r.complete() ? "VALID" : "VALID BUT INCOMPLETE") + ": every entry of the range is accounted for, and is the one that was signed" + (r.complete() ? "\n" : "; its head lacks witnesses\n") : "INVALID: " + n(r.fault_count, "fault") + "\n");
}

}  // namespace sallyport::verify
