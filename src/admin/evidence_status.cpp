#include "admin/evidence_status.h"

namespace sallyport::admin {
namespace {

double seconds(std::int64_t ns) { return static_cast<double>(ns) / 1e9; }

}  // namespace

std::vector<Metric> metrics_of(const evidence::LogStatus& log, const WitnessStatus& witnesses) {
  std::vector<Metric> out;
  const auto add = [&](const char* name, const char* help, const char* type, double value) { out.push_back({name, help, type, {}, value}); };
  add("sallyport_evidence_entries_total", "Durable entries of the evidence log.", "counter", static_cast<double>(log.size));
  add("sallyport_evidence_signed_entries", "Entries under the last signed tree head.", "gauge", static_cast<double>(log.signed_size));
  add("sallyport_evidence_unsigned_age_seconds", "Age of the oldest entry that is not under a signed head.", "gauge", seconds(log.signed_age_ns));
  add("sallyport_evidence_writable", "1 when evidence can be written.", "gauge", log.writable ? 1 : 0);
  add("sallyport_evidence_bytes_total", "Bytes written to the evidence log.", "counter", static_cast<double>(log.bytes_written));
  add("sallyport_evidence_batches_total", "Group commits.", "counter", static_cast<double>(log.batches));
  add("sallyport_evidence_failures_total", "Failed writes of the evidence log.", "counter", static_cast<double>(log.failures));
  add("sallyport_evidence_refused_total", "Entries refused because evidence could not be written.", "counter", static_cast<double>(log.refused));
  add("sallyport_evidence_alarm", "1 when the witnesses' alarm stands: the log was rolled back, forked or changed.", "gauge", witnesses.alarm.empty() ? 0 : 1);
  if (witnesses.each.empty()) return out;
  add("sallyport_evidence_witnessed_entries", "Entries under the last head with the witnesses' quorum.", "gauge", static_cast<double>(witnesses.size));
  add("sallyport_evidence_witness_lag_seconds", "For how long entries have been waiting for the quorum.", "gauge", seconds(witnesses.lag_ns));
  const auto of_each = [&](const char* name, const char* help, const char* type, auto value) {
    for (const auto& one : witnesses.each) out.push_back({name, help, type, {{"witness", one.name}}, static_cast<double>(value(one))});
  };
  using One = WitnessStatus::One;
  of_each("sallyport_witness_cosigned_entries", "Entries under the last head that this witness cosigned since the start.", "gauge", [](const One& one) { return one.cosigned; });
  of_each("sallyport_witness_refusals_total", "Heads that this witness answered with anything but its cosignature.", "counter", [](const One& one) { return one.refusals; });
  of_each("sallyport_witness_unanswered_total", "Heads that this witness did not answer.", "counter", [](const One& one) { return one.silences; });
  of_each("sallyport_witness_contradicts", "1 while this witness says that the log was rolled back, forked or changed.", "gauge", [](const One& one) { return one.contradicts ? 1 : 0; });
  return out;
}

std::string status_json(const evidence::LogStatus& log, const WitnessStatus& witnesses) {
  std::string each;
  for (const auto& one : witnesses.each) {
    each += fmt::format(R"({}{{"name":{},"cosigned":{},"contradicts":{},"refusals":{},"unanswered":{},"problem":{}}})", each.empty() ? "" : ",", json::quote(one.name), one.cosigned,
                        one.contradicts, one.refusals, one.silences, json::quote(one.problem));
  }
  return fmt::format(R"({{"writable":{},"why_not":{},"alarm":{},"entries":{},"signed":{},"unsigned_seconds":{:.3f},"witnesses":{{"quorum":{},"witnessed":{},"lag_seconds":{:.3f},"each":[{}]}}}})",
                     log.writable, json::quote(log.why_not), json::quote(witnesses.alarm), log.size, log.signed_size, seconds(log.signed_age_ns), witnesses.quorum, witnesses.size,
                     seconds(witnesses.lag_ns), each);
}

}  // namespace sallyport::admin
