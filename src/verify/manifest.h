#pragma once
// manifest.json of a pack (docs/formats/pack.md): what it says of itself. There is one spelling, so a text is read only if
// writing what was read gives the same bytes. Pure.
#include <map>

#include "verify/entry.h"

namespace sallyport::verify {

// Format 2 is of packs with veiled fields; all others are of format 1.
constexpr std::uint64_t kPackFormat = 1, kPackFormatVeiled = 2, kReportVersion = 1;

/// The question a pack answers, as it was asked. Empty: not given.
struct Query {
  std::string from, from_index, to, to_index, kind, target, user;
  std::string payloads = "sealed";             // "opened", "sealed", "none"
  std::vector<std::string> sessions;           // ids in hex, ascending
  std::vector<std::uint64_t> disclose;         // indices of entries whose payload is opened, ascending
  std::string fields = "opened";               // what is veiled of an entry; or "sealed", in what the gateway keeps for itself
  std::vector<std::string> withhold;           // names of fields that stay veiled, in the order of their keys
  bool has_conditions() const { return !kind.empty() || !target.empty() || !user.empty() || !sessions.empty(); }
  friend bool operator==(const Query&, const Query&) = default;
};

/// What a pack holds of an entry's payload.
enum class Disposition : std::uint8_t { None, Sealed, Opened, Erased };
Disposition disposition_of(const Query& query, std::uint64_t index, bool erased);

/// The fields that are to stay veiled, a bit each (veil.h).
std::uint8_t withheld_of(const Query& query);

struct ManifestSession {
  Id id{};
  std::uint64_t entries = 0;
  bool complete = false, erased = false;
  friend bool operator==(const ManifestSession&, const ManifestSession&) = default;
};

/// A member's digest; of a folder ("entries/") the digest of the lines that sha256sum prints for its members.
struct MemberDigest {
  std::string name;
  std::optional<std::uint64_t> count;  // of a folder
  Hash digest{};
  friend bool operator==(const MemberDigest&, const MemberDigest&) = default;
};
/// "entries/" of "entries/00…", "" of what lies in no folder.
std::string folder_of(std::string_view name);

/// Digests of members in the order of their names.
class MemberDigests {
 public:
  void add(std::string_view name, const Hash& digest);
  std::vector<MemberDigest> done();

 private:
  void end_folder();
  std::vector<MemberDigest> out_;
  std::optional<Sha256> lines_;
};

struct Manifest {
  std::uint64_t a = 0, b = 0, size = 0, checkpoints = 0, contexts = 0, names = 0;
  std::uint64_t commands = 0, disclosed = 0, outcomes = 0, withheld = 0;
  std::map<std::string, std::uint64_t> kinds;
  std::uint64_t format = kPackFormat, report = kReportVersion;
  std::vector<std::uint64_t> gaps, timestamps;
  std::vector<MemberDigest> members;
  std::vector<Hash> missing_policies;
  std::string origin, tool;
  std::uint64_t erased = 0, none = 0, opened = 0, sealed = 0;   // payloads
  std::uint64_t fields_erased = 0, fields_opened = 0, fields_sealed = 0, fields_withheld = 0;   // of format 2
  Query query;
  std::vector<ManifestSession> sessions;
};

std::string write_manifest(const Manifest& manifest);
std::optional<Manifest> read_manifest(std::string_view text);
/// The first key whose value differs; "" when they are the same. `members` is not compared.
std::string difference(const Manifest& a, const Manifest& b);

}  // namespace sallyport::verify
