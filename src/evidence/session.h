#pragma once
// A session in the evidence: its id, payload key, sequence and totals. Created by Log::new_session, shared by the
// session's worker (id, recording) and the writer thread (sequence, totals).
#include <openssl/types.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "evidence/entry.h"

namespace sallyport::evidence {

/// In a cache line of its own begins what the writer changes: workers count references beside it.
class alignas(64) SessionRecord {
  Id16 id_;

 public:
  SessionRecord(const Id16& id, const Digest& key);
  ~SessionRecord();  // wipes the key
  SessionRecord(const SessionRecord&) = delete;

  const Id16& id() const { return id_; }
  const Digest& key() const { return key_; }

  // The session's worker only: the number of the first chunk of a new payload. Every payload has 2^24 numbers of its
  // own (a number is the AES-GCM nonce, so never used twice), so payloads of concurrent commands may interleave.
  std::uint64_t take_payload_number() { return next_payload_++ << 24; }
  // The same: a cipher that has the key; kept, for setting one up costs as much as sealing a small payload does.
  EVP_CIPHER_CTX* cipher();

  // The writer thread only.
  std::uint64_t sequence = 0, commands = 0, outcomes = 0, chunks = 0;
  std::uint64_t touched = 0;                 // the batch that holds a copy to roll back to
  bool key_stored = false, closed = false, listed = false;  // listed: among the open sessions
  std::vector<std::uint64_t> open_commands;  // allowed ones without outcome, ascending

 private:
  struct FreeCipher {
    void operator()(EVP_CIPHER_CTX* cipher) const;
  };
  alignas(64) Digest key_;
  std::uint64_t next_payload_ = 0;
  std::unique_ptr<EVP_CIPHER_CTX, FreeCipher> cipher_;
};

/// Turns plaintext (already masked) into encrypted chunks: zstd, then AES-256-GCM under the session's key, at most
/// 64 KiB of plaintext a chunk. Session's worker only. docs/formats/payload.md.
class Recording {
 public:
  explicit Recording(SessionRecord& session);
  ~Recording();

  /// One payload that is at hand as a whole; its chunks are added to the entry.
  static PayloadRef whole(SessionRecord& session, std::string_view plain, Entry& entry);

  /// A stream: add() yields the chunks that became complete, finish() the last one and the reference.
  void add(std::string_view plain, std::vector<Chunk>& out);
  PayloadRef finish(std::vector<Chunk>& out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sallyport::evidence
