#include "verify/controls.h"

#include "verify/json_text.h"

namespace sallyport::verify {

const char* const kControlsDisclaimer =
    "Supporting evidence only. This mapping says which controls the entries in this pack can be evidence for. It certifies nothing: whether a control is "
    "designed and operated effectively, and whether the evidence is sufficient, is for a qualified assessor to decide.";

const std::vector<Control>& controls() {
  // Numbers: SOC 2 trust services criteria CC6 to CC8; ISO/IEC 27001:2022 Annex A; PCI DSS 4.0 requirement 10; 45 CFR 164.312.
  static const std::vector<Control> kAll = {
      {"admin.action", "Administrative actions", "CC6.1 CC6.2 CC6.3 CC8.1", "5.15 5.18 8.2 8.15", "10.2.1.2 10.2.1.5", "164.312(a)(1) 164.312(b)"},
      {"approval", "Approvals by named people", "CC6.1 CC6.3", "5.15 5.18 8.2 8.3", "10.2.1.2", "164.312(a)(1)"},
      {"auth.failed", "Failed authentication", "CC6.1 CC7.2", "5.16 5.17 8.5 8.15 8.16", "10.2.1.4 10.2.2", "164.312(b) 164.312(d)"},
      {"auth.ok", "Authentication", "CC6.1 CC6.2", "5.16 5.17 8.5", "10.2.1.5 10.2.2", "164.312(a)(2)(i) 164.312(d)"},
      {"blocked", "Commands that policy refused", "CC6.1 CC6.6 CC7.2", "5.15 8.2 8.3 8.12", "10.2.1.4", "164.312(a)(1)"},
      {"command", "Commands with identity, decision and rule", "CC6.1 CC6.3 CC7.2", "5.15 8.2 8.3 8.4 8.15", "10.2.1.1 10.2.1.2 10.2.2", "164.312(a)(1) 164.312(b)"},
      {"config.applied", "Policy and configuration in force", "CC8.1", "5.15 5.18 8.15", "10.2.1.5", "164.312(b)"},
      {"erase", "Erasure of payload", "CC6.5", "5.33 8.10", "10.5.1", "164.312(c)(1)"},
      {"evidence.read", "Reading of evidence", "CC7.2", "5.28 8.15", "10.2.1.3 10.3.1 10.4.1", "164.312(b)"},
      {"gap", "Declared gaps", "CC7.2 CC7.3", "5.28 8.15", "10.7.2", "164.312(b)"},
      {"held", "Commands held for a person", "CC6.1 CC6.3", "5.15 5.18 8.2 8.3", "10.2.1.2", "164.312(a)(1)"},
      {"heartbeat", "Continuity of the record", "CC7.2", "8.15 8.16 8.17", "10.2.1.6 10.6.1", "164.312(b)"},
      {"hold", "Legal holds", "CC6.5", "5.28 5.33", "10.5.1", "164.312(c)(1)"},
      {"key.epoch", "Keys that sign the record, announced in it", "CC6.1 CC7.2", "5.28 8.15", "10.3.4", "164.312(c)(1)"},
      {"masking", "Masking of sensitive data", "CC6.1 CC6.7", "8.11 8.12", "10.3.1", "164.312(a)(1)"},
      {"node.start", "Starts of the gateway and its log", "CC7.2", "8.15 8.16", "10.2.1.6", "164.312(b)"},
      {"node.stop", "Stops of the gateway and its log", "CC7.2", "8.15 8.16", "10.2.1.6", "164.312(b)"},
      {"outcome", "What came of each command", "CC7.2 CC7.3", "8.15 8.16", "10.2.1.1 10.2.2", "164.312(b)"},
      {"payload", "Recorded statements and answers", "CC7.2 CC7.3", "5.28 5.33 8.15", "10.2.1.1 10.3.2", "164.312(b) 164.312(c)(2)"},
      {"prune", "Retention", "CC6.5", "5.33 8.10", "10.5.1", "164.312(c)(1)"},
      {"recovery", "Recoveries after a failure", "CC7.2 CC7.4", "5.28 8.15", "10.7.2 10.7.3", "164.312(c)(1)"},
      {"session.close", "Ends of sessions with their totals", "CC6.1 CC7.2", "8.15", "10.2.1.1", "164.312(b)"},
      {"session.open", "Sessions with identity, target and address", "CC6.1 CC6.2 CC6.6", "5.16 8.2 8.5 8.15", "10.2.1.1 10.2.2", "164.312(a)(2)(i) 164.312(b)"},
      {"sink.failed", "Failures of copying the record", "CC7.2 CC7.3", "8.15 8.16", "10.7.2", "164.312(b)"},
      {"sink.recovered", "Recoveries of copying the record", "CC7.4", "8.15 8.16", "10.7.3", "164.312(b)"},
      {"tool.trust", "Tools as they were first seen, changed and reviewed", "CC6.8 CC8.1", "5.21 8.9 8.32", "10.2.1.7", "164.312(c)(1)"},
  };
  return kAll;
}

namespace {

std::string numbers(std::string_view text, const char* prefix) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const auto end = text.find(' ');
    out.push_back(json_string(prefix + std::string(text.substr(0, end))));
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  }
  return json_list(out);
}

}  // namespace

std::string write_controls(const PackStory& story) {
  std::string out = "{\"disclaimer\":" + json_string(kControlsDisclaimer) + ",\"integrity\":{\"hipaa\":" + numbers("164.312(c)(1) 164.312(c)(2)", "") + ",\"iso27001_2022\":" +
                    numbers("5.28 5.33 8.15", "A.") + ",\"pci_dss_4\":" + numbers("10.3.2 10.3.4 10.5.1", "") + ",\"soc2\":" + numbers("CC7.2", "") +
                    ",\"title\":\"Signed head and proof over every entry\"},\"supports\":[";
  bool first = true;
  for (const auto& one : controls()) {
    const auto at = story.features().find(one.feature);
    if (at == story.features().end()) continue;
    out += std::exchange(first, false) ? "" : ",";
    out += "{\"count\":" + std::to_string(at->second.count) + ",\"feature\":" + json_string(one.feature) + ",\"first\":" + std::to_string(at->second.first) +
           ",\"hipaa\":" + numbers(one.hipaa, "") + ",\"iso27001_2022\":" + numbers(one.iso, "A.") + ",\"last\":" + std::to_string(at->second.last) +
           ",\"pci_dss_4\":" + numbers(one.pci, "") + ",\"soc2\":" + numbers(one.soc2, "") + ",\"title\":" + json_string(one.title) + "}";
  }
  return out + "]}\n";
}

}  // namespace sallyport::verify
