#pragma once
// Packs for the verifier's tests: made by the exporter of a log that the gateway's writer made, and taken apart and put together
// again by somebody who can repair everything but the signed head.
#include "cli/pack_writer.h"
#include "forge.h"
#include "verify/controls.h"
#include "verify/pack.h"

namespace sallyport::tamper {

inline Bytes exported(const std::string& directory, const verify::Query& query = {}, std::optional<std::uint64_t> from = {}, std::optional<std::uint64_t> to = {}) {
  const auto reader = evidence::Reader::open(directory);
  EXPECT_TRUE(reader);
  cli::PackQuestion question;
  question.query = query;
  question.from_index = from, question.to_index = to;
  if (from) question.query.from_index = std::to_string(*from);
  if (to) question.query.to_index = std::to_string(*to);
  const auto out = directory + "/pack.zip";
  const auto made = cli::make_pack(*reader, question, {out, "test", std::make_shared<FileOps>(), {}});
  EXPECT_TRUE(made) << (made ? "" : made.error().what);
  return bytes_of(out);
}

inline verify::PackReport judged(ByteView pack, const std::string& key, std::size_t piece = SIZE_MAX) {
  std::string why;
  verify::PackChecker checker({*verify::parse_key(key, why)});
  while (!pack.empty()) {
    const auto n = std::min(piece, pack.size());
    checker.feed(pack.first(n));
    pack = pack.subspan(n);
  }
  return checker.finish();
}
inline std::string said(const verify::PackReport& report) {
  std::string out;
  for (const auto& fault : report.faults) out += fault.code + ": " + fault.what + " [" + fault.file + "]\n";
  return out;
}
inline bool has(const verify::PackReport& report, std::string_view code) {
  return std::ranges::any_of(report.faults, [&](const verify::Fault& fault) { return fault.code == code; });
}
inline bool only(const verify::PackReport& report, std::string_view code) {
  return !report.faults.empty() && std::ranges::all_of(report.faults, [&](const verify::Fault& fault) { return fault.code == code; });
}

/// The members of a pack, to be changed and put together again.
struct Taken {
  std::map<std::string, std::string> members;

  explicit Taken(const Bytes& pack) {
    for (std::size_t at = 0; verify::little(pack, at, 4) == verify::kLocalMagic;) {
      const auto size = verify::little(pack, at + 22, 4), name = verify::little(pack, at + 26, 2);
      members[std::string(as_text(ByteView(pack).subspan(at + 30, name)))] = as_text(ByteView(pack).subspan(at + 30 + name, size));
      at += 30 + name + size;
    }
  }
  std::string& operator[](const std::string& name) { return members.at(name); }
  std::string first(const std::string& folder) const { return members.lower_bound(folder)->first; }
  verify::Manifest manifest() const { return *verify::read_manifest(members.at("manifest.json")); }

  /// Digests in the manifest as they should be, after `change` of the rest of it.
  Taken& mend(const std::function<void(verify::Manifest&)>& change = {}) {
    auto said = manifest();
    if (change) change(said);
    verify::MemberDigests digests;
    for (const auto& [name, content] : members)
      if (name != "manifest.json") digests.add(name, verify::Sha256().add(as_bytes(content)).done());
    said.members = digests.done();
    members["manifest.json"] = verify::write_manifest(said);
    return *this;
  }
  Bytes zip() const {
    Bytes out, directory;
    for (const auto& [name, content] : members) {
      const verify::ZipMember member{name, content.size(), out.size(), verify::crc32(0, as_bytes(content))};
      const auto local = verify::local_header(member), central = verify::central_record(member);
      out.insert(out.end(), local.begin(), local.end());
      out.insert(out.end(), content.begin(), content.end());
      directory.insert(directory.end(), central.begin(), central.end());
    }
    const auto end = verify::end_records(members.size(), out.size(), directory.size());
    out.insert(out.end(), directory.begin(), directory.end());
    out.insert(out.end(), end.begin(), end.end());
    return out;
  }
};

}  // namespace sallyport::tamper
