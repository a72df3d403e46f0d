#pragma once
// A witness (C2SP tlog-witness): cosigns the heads of logs it knows, each only if it grew from the last one it cosigned. It
// remembers that one durably before it answers, so a log that was rolled back or forked gets no cosignature from it ever again. It sees
// origins, sizes and hashes. One thread.
#include <map>
#include <string>

#include "evidence/note.h"

namespace sallyport::anchor {

class Witness {
 public:
  /// Keeps one file a log in `directory` (made when missing). `logs` are the verifier keys of the logs it knows; a log may have
  /// several. Errors: Unavailable (files; a damaged one is not taken for none).
  static Result<Witness> open(std::string directory, evidence::NoteKey signer, const std::vector<evidence::NoteKey>& logs);

  struct Answer {
    unsigned status = 200;
    std::string type = "text/plain; charset=utf-8", body;
  };
  /// POST add-checkpoint. `seconds`: the time, since 1970.
  Answer add_checkpoint(std::string_view body, std::uint64_t seconds);
  /// GET <sha256 of the origin, hex>/checkpoint: the last note it cosigned.
  Answer checkpoint(std::string_view origin_hash) const;
  std::string verifier_key() const;

 private:
  struct Seen {
    std::vector<evidence::NoteKey> keys;
    evidence::Checkpoint head;      // size 0: none yet
    std::string note;               // with the cosignature
  };
  Witness(std::string directory, evidence::NoteKey signer) : directory_(std::move(directory)), signer_(std::move(signer)) {}
  Result<void> load(const std::string& origin, Seen& seen) const;
  std::string file_of(std::string_view origin) const;

  std::string directory_;
  evidence::NoteKey signer_;
  std::map<std::string, Seen, std::less<>> logs_;
};

}  // namespace sallyport::anchor
