// The report for people and for programs. See check.h.
#include "verify/check.h"

#include <algorithm>

namespace sallyport::verify {

std::string printable(std::string_view text) {
  const bool utf8 = is_utf8(text);
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const auto rest = text.substr(i);
    const auto at = [&](std::size_t k) { return static_cast<unsigned char>(rest[k]); };
    std::size_t harmful = c < 0x20 || c == 0x7F || (c >= 0x80 && !utf8) ? 1 : 0;
    if (utf8 && c == 0xC2 && at(1) < 0xA0) harmful = 2;
    if (utf8 && c == 0xE2 && ((at(1) == 0x80 && ((at(2) >= 0x8B && at(2) <= 0x8F) || (at(2) >= 0xA8 && at(2) <= 0xAE))) || (at(1) == 0x81 && at(2) >= 0xA0 && at(2) <= 0xAF))) harmful = 3;
    if (harmful == 0) out += text[i];
    else out += '?', i += harmful - 1;
  }
  return out;
}

std::string quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : printable(text)) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

namespace {

const char* word(Report::Verdict verdict) { return verdict == Report::Valid ? "valid" : verdict == Report::Invalid ? "invalid" : "incomplete"; }

}  // namespace

void note_veils(Report& report) {
  const auto hidden = report.veiled_fields - std::min(report.veiled_fields, report.opened_fields + report.erased_fields);
  const auto fields = [](std::uint64_t n) { return std::to_string(n) + (n == 1 ? " field is" : " fields are"); };
  if (hidden > 0) report.notes.push_back(fields(hidden) + " veiled: that they are there is judged, what they say is not");
  if (report.erased_fields > 0) report.notes.push_back(fields(report.erased_fields) + " veiled and cannot be opened: the keys of their sessions were erased");
}

std::string to_json(const Report& report) {
  const auto number = [](const char* name, std::uint64_t n) { return "\"" + std::string(name) + "\":" + std::to_string(n) + ","; };
  std::string out = "{\"verdict\":\"" + std::string(word(report.verdict)) + "\",\"origin\":" + quote(report.origin) + ",";
  out += number("entries", report.entries) + number("first_entry", report.first_entry) + number("signed_entries", report.signed_entries) + number("witnessed_entries", report.witnessed_entries) + number("timestamps", report.timestamps) + number("stamped_entries", report.stamped_entries) + number("stamped_at", report.stamped_at) + number("segments", report.segments) +
         number("incarnations", report.incarnations) + number("heads", report.heads) + number("sessions", report.sessions) +
         number("open_sessions", report.open_sessions) + number("commands", report.commands) + number("outcomes", report.outcomes) +
         number("interrupted", report.interrupted) + number("payloads", report.payloads) + number("opened_payloads", report.opened_payloads) +
         number("erased_payloads", report.erased_payloads) + number("veiled_fields", report.veiled_fields) + number("opened_fields", report.opened_fields) +
         number("erased_fields", report.erased_fields) + number("fault_count", report.fault_count) + "\"faults\":[";
  for (std::size_t i = 0; i < report.faults.size(); ++i) {
    const auto& fault = report.faults[i];
    out += (i ? ",{" : "{") + std::string("\"code\":") + quote(fault.code) + ",\"what\":" + quote(fault.what);
    if (!fault.file.empty()) out += ",\"file\":" + quote(fault.file);
    if (fault.offset) out += ",\"offset\":" + std::to_string(*fault.offset);
    if (fault.index) out += ",\"index\":" + std::to_string(*fault.index);
    out += "}";
  }
  out += "],\"notes\":[";
  for (std::size_t i = 0; i < report.notes.size(); ++i) out += (i ? "," : "") + quote(report.notes[i]);
  return out + "]}";
}

std::string to_text(const Report& report) {
  std::string out;
  const auto n = [](std::uint64_t value, const char* what) { return std::to_string(value) + " " + what + (value == 1 ? "" : "s"); };
  for (const auto& fault : report.faults) {
    out += "FAULT " + fault.code + ": " + printable(fault.what);
    if (!fault.file.empty()) out += "\n      " + printable(fault.file) + (fault.offset ? ", byte " + std::to_string(*fault.offset) : "");
    out += "\n";
  }
  if (report.fault_count > report.faults.size()) out += "… and " + std::to_string(report.fault_count - report.faults.size()) + " more\n";
  for (const auto& note : report.notes) out += "note: " + printable(note) + "\n";
  out += report.origin + ": " + (report.entries == 1 ? "1 entry" : std::to_string(report.entries) + " entries") + " in " + n(report.segments, "segment") + ", " + n(report.heads, "signed head") + ", " +
         n(report.sessions, "session") + ", " + n(report.commands, "command") + ", " + n(report.outcomes, "outcome") + ", " + n(report.payloads, "payload") + "\n";
  switch (report.verdict) {
    case Report::Valid: out += "VALID: every entry is the one that was signed\n"; break;
    case Report::Invalid: out += "INVALID: " + n(report.fault_count, "fault") + "\n"; break;
    case Report::Incomplete: {
      const auto left = report.entries - report.signed_entries;
      out += "VALID BUT INCOMPLETE: ";
      if (report.signed_entries == 0) out += "nothing is signed; this proves nothing yet\n";
      else if (left == 0 && report.quorum != 0 && report.witnessed_entries < report.entries) out += "every entry is the one that was signed; " + std::to_string(report.entries - report.witnessed_entries) + " of them are under no head that the witnesses cosigned\n";
      else if (left == 0) out += "every entry is the one that was signed, and the last write was cut off\n";
      else out += "entries " + std::to_string(report.first_entry) + " to " + std::to_string(report.signed_entries - 1) + " are the ones that were signed, " + std::to_string(left) + " after them are not signed yet\n";
      break;
    }
  }
  return out;
}

}  // namespace sallyport::verify
