#pragma once
// Whether an evidence pack (docs/formats/pack.md) is what the key signed. It is fed front to back in pieces cut anywhere, and judges as
// they come: memory grows with sessions and payloads, not with the pack. Single-threaded; no files, no clock.
// Each fault has a code that docs/verify.md lists. What is wrong with the zip's form ends the reading.
#include <functional>
#include <memory>

#include "verify/check.h"
#include "verify/report_html.h"

namespace sallyport::verify {

struct PackSettings {
  NoteKey key;
  std::vector<NoteKey> witnesses;         // whose cosignatures under the pack's head count
  std::size_t quorum = 0;                 // how many of them it needs; 0 = none asked for
  /// Judges an RFC 3161 answer over a note: its time in seconds since 1970, or nullopt and why not. Empty: stamps are listed, not judged.
  std::function<std::optional<std::uint64_t>(View stamped, View answer, std::string& why)> stamped_at;
};

struct PackReport {
  bool valid = false;
  std::uint64_t quorum = 0, cosigned = 0;  // valid with fewer cosignatures than asked for is incomplete
  bool complete() const { return cosigned >= quorum; }
  std::string origin, tool;
  std::uint64_t a = 0, b = 0, size = 0, disclosed = 0, withheld = 0, sessions = 0, complete_sessions = 0, commands = 0, outcomes = 0;
  std::uint64_t opened_fields = 0, withheld_fields = 0, erased_fields = 0, sealed_fields = 0;   // of those that are veiled
  std::uint64_t heads = 0, opened = 0, sealed = 0, erased = 0, absent = 0, timestamps = 0, members = 0, bytes = 0;
  std::uint64_t stamped_entries = 0, stamped_at = 0;  // under the newest time stamp that was judged, and its time
  std::vector<Fault> faults;              // at most 100 are kept; `file` is the member
  std::uint64_t fault_count = 0;
  std::vector<std::string> notes;
  std::string html;                       // the report, made again; "" when the pack is too broken for one
};

class PackChecker {
 public:
  explicit PackChecker(const PackSettings& settings);
  ~PackChecker();
  PackChecker(PackChecker&&) noexcept;
  void feed(View bytes);
  /// To be called once, after the last piece.
  PackReport finish();

 private:
  class State;
  std::unique_ptr<State> state_;
};

std::string to_json(const PackReport& report);   // without the html
std::string to_text(const PackReport& report);

}  // namespace sallyport::verify
