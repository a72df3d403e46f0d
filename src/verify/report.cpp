// The report for people and for programs. See check.h.
#include "verify/check.h"

namespace sallyport::verify {
namespace {

std::string quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') out += std::string("\\") + c;
    else if (u < 0x20 || u == 0x7F) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", u);
      out += escaped;
    } else out += c;
  }
  return out + "\"";
}

const char* word(Report::Verdict verdict) { return verdict == Report::Valid ? "valid" : verdict == Report::Invalid ? "invalid" : "incomplete"; }

}  // namespace

std::string to_json(const Report& report) {
  const auto number = [](const char* name, std::uint64_t n) { return "\"" + std::string(name) + "\":" + std::to_string(n) + ","; };
  std::string out = "{\"verdict\":\"" + std::string(word(report.verdict)) + "\",\"origin\":" + quote(report.origin) + ",";
  out += number("entries", report.entries) + number("signed_entries", report.signed_entries) + number("segments", report.segments) +
         number("incarnations", report.incarnations) + number("heads", report.heads) + number("sessions", report.sessions) +
         number("open_sessions", report.open_sessions) + number("commands", report.commands) + number("outcomes", report.outcomes) +
         number("interrupted", report.interrupted) + number("payloads", report.payloads) + number("opened_payloads", report.opened_payloads) +
         number("erased_payloads", report.erased_payloads) + number("fault_count", report.fault_count) + "\"faults\":[";
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
    out += "FAULT " + fault.code + ": " + fault.what;
    if (!fault.file.empty()) out += "\n      " + fault.file + (fault.offset ? ", byte " + std::to_string(*fault.offset) : "");
    out += "\n";
  }
  if (report.fault_count > report.faults.size()) out += "… and " + std::to_string(report.fault_count - report.faults.size()) + " more\n";
  for (const auto& note : report.notes) out += "note: " + note + "\n";
  out += report.origin + ": " + std::to_string(report.entries) + " entries in " + n(report.segments, "segment") + ", " + n(report.heads, "signed head") + ", " +
         n(report.sessions, "session") + ", " + n(report.commands, "command") + ", " + n(report.outcomes, "outcome") + ", " + n(report.payloads, "payload") + "\n";
  switch (report.verdict) {
    case Report::Valid: out += "VALID: every entry is the one that was signed\n"; break;
    case Report::Invalid: out += "INVALID: " + n(report.fault_count, "fault") + "\n"; break;
    case Report::Incomplete:
      out += "VALID BUT INCOMPLETE: entries 0 to " + (report.signed_entries == 0 ? std::string("none") : std::to_string(report.signed_entries - 1)) +
             " are signed, " + std::to_string(report.entries - report.signed_entries) + " after them are not yet\n";
      break;
  }
  return out;
}

}  // namespace sallyport::verify
