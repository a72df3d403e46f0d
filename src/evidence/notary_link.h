#pragma once
// The way between a gateway and its notary: a stream socket on this machine, one request at a time, each a frame of 4 bytes
// little-endian length and a CBOR array. Requests: [1] hello, [2, begin, end, [hashes]] sign, [3] next epoch, [4, entry] begin epoch;
// the embedded notary gets its key first, as [9, signer key]. Answers: [0, …] or [error kind, words]. The gateway's side is a Signer
// and reconnects by itself; the notary's side serves one client at a time. docs/evidence.md, "The notary".
#include <sys/types.h>

#include <functional>

#include "evidence/file_ops.h"
#include "evidence/notary.h"

namespace sallyport::evidence {

constexpr std::size_t kNotaryFrame = 1u << 17;  // the largest: an entry of 65,535 bytes

/// One frame. Errors: Disconnected (also when 10 s pass in the middle of one), Malformed (over the limit).
Result<Bytes> read_frame(int socket);
Result<void> write_frame(int socket, ByteView bytes);

/// Connected socket to the notary. Errors: Unavailable.
using NotaryDoor = std::function<Result<File>()>;
NotaryDoor unix_door(std::string path);
/// Starts `program notary --embedded …` as a child with one end of a socket pair; it ends when that is closed.
NotaryDoor child_door(std::string program, std::string state_file, std::string signer_key);

/// The gateway's side. Errors: Unavailable (no notary), Malformed (it speaks for another origin, or not the pinned key).
Result<std::unique_ptr<Signer>> notary_client(NotaryDoor door, std::string origin, std::string pinned_key);

/// What an embedded notary reads first: its signer key. Errors: Disconnected, Malformed.
Result<std::string> read_embedded_key(int socket);
/// Answers every request with this error until the client goes: for a notary that could not start.
void refuse_client(int socket, const Error& why);

/// Answers one client until it goes or `stop` says so: true, so that a newer client can be served. Notary's thread.
void serve_client(int socket, Notary& notary, const std::function<bool()>& stop);

}  // namespace sallyport::evidence
