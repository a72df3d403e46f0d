#pragma once
// The verifier's judgement: streams a whole evidence directory once and says whether it is what the key signed. Every
// rule of docs/formats is checked; each fault has a code, a place and words. Single-threaded.
#include "verify/note.h"

namespace sallyport::verify {

struct Fault {
  std::string code;                       // "entry-altered", "head-root", …: docs/verify.md lists them
  std::string what;                       // for people
  std::string file;                       // "" when no one file is to blame
  std::optional<std::uint64_t> offset, index;
};

struct Report {
  enum Verdict { Valid = 0, Invalid = 1, Incomplete = 2 } verdict = Valid;
  std::string origin;
  std::uint64_t timestamps = 0, stamped_entries = 0, stamped_at = 0;   // under the newest of them
  std::uint64_t quorum = 0;               // of witnesses, as asked for
  std::uint64_t witnessed_entries = 0, witnessed_at = 0;  // under the quorum; at: seconds since 1970, the earliest of its cosignatures
  std::uint64_t first_entry = 0;          // those before it were pruned
  std::uint64_t entries = 0, signed_entries = 0, segments = 0, incarnations = 0, heads = 0;
  std::uint64_t sessions = 0, open_sessions = 0, commands = 0, outcomes = 0, interrupted = 0, payloads = 0, opened_payloads = 0, erased_payloads = 0;
  std::uint64_t veiled_fields = 0, opened_fields = 0, erased_fields = 0;  // of version 2; opened: with the keys, and computed
  std::vector<Fault> faults;              // at most 100 are kept
  std::uint64_t fault_count = 0;
  std::vector<std::string> notes;         // what is unusual and no fault: recoveries, torn ends, open sessions
};

struct Settings {
  std::string directory;
  NoteKey key;
  std::string keys_directory;             // keys/kek and keys/session-keys: payloads are opened too; "" = not
  std::vector<NoteKey> witnesses;         // whose cosignatures count
  std::size_t quorum = 0;                 // how many of them the newest head they saw must bear; 0 = none asked for
  bool without_payloads = false;          // of a log whose payloads are not at hand: what is recorded of them is not judged
  std::string timestamp_ca;               // certificates of the time-stamping authority; "" = time stamps are not looked at
  std::vector<std::string> kept_heads;    // files with signed heads from elsewhere: the log must bear them out as well
};

Report check(const Settings& settings);

/// What a terminal may be shown: control characters (also C1), characters that turn the direction of text, and what is no
/// UTF-8 become '?'. Names in an evidence directory are an attacker's to choose.
std::string printable(std::string_view text);
std::string quote(std::string_view text);  // the same as a JSON string

/// Says how many fields are hidden, if any are: of those nothing is judged but that they are there.
void note_veils(Report& report);

std::string to_json(const Report& report);
std::string to_text(const Report& report);

}  // namespace sallyport::verify
