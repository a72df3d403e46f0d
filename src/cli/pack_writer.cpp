#include "cli/pack_writer.h"

#include <fcntl.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <deque>
#include <ranges>

#include "evidence/log_view.h"
#include "verify/controls.h"
#include "verify/hmac.h"
#include "verify/report_html.h"

namespace sallyport::cli {
namespace {

using verify::Disposition;
constexpr std::uint64_t kPart = 65536;
constexpr std::size_t kPiece = 64u << 10, kSalt = 16;

std::string numbered(const char* before, std::uint64_t number, const char* after = "") { return fmt::format("{}{:020}{}", before, number, after); }

std::string report_of(const PackPlan& plan) { return verify::report_html(plan.manifest, plan.head.root, plan.story, plan.openings); }

class Writer {
 public:
  Writer(const evidence::Reader& reader, const PackPlan& plan, evidence::StoredKeys& keys, PackFile& file)
      : reader_(reader), plan_(plan), keys_(keys), file_(file), fields_(plan.question.query, keys) {
    wanted_.reserve(plan.manifest.opened + plan.manifest.sealed);
    for (std::uint32_t i = 0; i < plan.story.payloads().size(); ++i) {
      const auto kind = disposition(i);
      if (kind != Disposition::Sealed && kind != Disposition::Opened) continue;
      const auto& one = plan.story.payloads()[i];
      wanted_.push_back({one.session, i, one.place >> 24});
    }
    std::ranges::sort(wanted_, {}, &Wanted::place);  // no two payloads of a session have one number
    for (std::uint32_t i = 0; i < plan.story.sessions().size(); ++i) session_at_[plan.story.sessions()[i].id] = i;
  }

  Result<void> run() {
    TRY_VOID(file_.add("README.txt", verify::readme_of(plan_.manifest)));
    TRY_VOID(file_.add("checkpoint", plan_.note));
    const auto proof = verify::write_range_proof(plan_.proof);
    TRY_VOID(file_.add("checkpoint-proof", as_text(proof)));
    if (!plan_.heads.empty()) TRY_VOID(file_.add("checkpoints", plan_.heads));
    for (const auto& one : plan_.contexts) {
      if (!one.fields.empty()) TRY_VOID(file_.add(numbered("context/", one.index, ".fields"), one.fields));
      TRY_VOID(file_.add(numbered("context/", one.index, ".tlog-proof"), one.receipt));
    }
    TRY_VOID(file_.add("controls.json", verify::write_controls(plan_.story)));
    TRY_VOID(entries());
    auto manifest = plan_.manifest;
    manifest.members = members();
    TRY_VOID(file_.leave_room("manifest.json", verify::write_manifest(manifest).size()));
    if (!plan_.names.empty()) TRY_VOID(file_.add("names", plan_.names));
    TRY_VOID(payloads(Disposition::Opened));
    TRY_VOID(policies());
    TRY_VOID(file_.add("report.html", report_of(plan_)));
    TRY_VOID(payloads(Disposition::Sealed));
    TRY_VOID(timestamps());
    manifest.members = file_.digests();
    return file_.finish(verify::write_manifest(manifest));
  }

 private:
  Disposition disposition(std::size_t i) const {
    const auto& one = plan_.story.payloads()[i];
    return verify::disposition_of(plan_.manifest.query, one.index, plan_.manifest.sessions[one.session].erased);
  }

  /// What the manifest will list: as many members and names as there will be, the digests not yet known.
  std::vector<verify::MemberDigest> members() const {
    verify::MemberDigests all;
    const auto some = [&](const std::string& folder, std::uint64_t count) {
      for (std::uint64_t i = 0; i < count; ++i) all.add(folder, {});
    };
    for (const char* name : {"README.txt", "checkpoint", "checkpoint-proof"}) all.add(name, {});
    if (!plan_.heads.empty()) all.add("checkpoints", {});
    some("context/", plan_.contexts.size() + static_cast<std::size_t>(std::ranges::count_if(plan_.contexts, [](const auto& one) { return !one.fields.empty(); })));
    all.add("controls.json", {});
    some("entries/", plan_.part_sizes.size());
    if (!plan_.names.empty()) all.add("names", {});
    some("payloads/", plan_.manifest.opened);
    some("policies/", plan_.story.policies().size() - plan_.manifest.missing_policies.size());
    all.add("report.html", {});
    some("sealed/", plan_.manifest.sealed);
    some("timestamps/", plan_.timestamps.size());
    return all.done();
  }

  /// The third pass: the leaves are written, and where the chunks of wanted payloads lie is kept.
  Result<void> entries() {
    const auto a = plan_.proof.a, b = plan_.proof.b;
    bool due = false;
    std::size_t number = 0;
    Bytes record;
    Error error;
    std::uint64_t index = reader_.first();
    const auto one = [&](const PackLeaf& leaf) -> Result<void> {
      if ((index - a) % kPart == 0) {
        TRY(due, file_.begin(numbered("entries/", index), plan_.part_sizes[number++]));
      }
      if (due) {
        TRY_VOID(put_leaf(record, leaf));
        TRY_VOID(file_.write(record));
      }
      ++index;
      return due && ((index - a) % kPart == 0 || index == b) ? file_.end() : Result<void>{};
    };
    TRY_VOID(reader_.scan(
        [&](ByteView leaf, ByteView veiled) {
          if (index >= b) return false;
          if (index < a) return ++index, true;
          auto done = one({leaf, veiled});
          if (!done) error = std::move(done).error();
          return done.has_value();
        },
        [&](const Id16& session, std::uint64_t chunk, const evidence::Reader::ChunkPlace& place) {
          const auto at = session_at_.find(session);
          if (at == session_at_.end()) return;
          const auto due = std::pair(at->second, chunk >> 24);
          const auto behind = std::ranges::upper_bound(wanted_, due, {}, &Wanted::place);
          if (behind == wanted_.begin() || std::prev(behind)->place() != due) return;
          chunks_.push_back({std::prev(behind)->payload, static_cast<std::uint32_t>(chunk & 0xFFFFFF), place});
        }));
    if (!error.what.empty()) return std::unexpected(std::move(error));
    wanted_ = std::vector<Wanted>();
    std::ranges::sort(chunks_, {}, [](const Chunk& one) { return std::pair(one.payload, one.number); });
    return {};
  }

  Result<void> put_leaf(Bytes& part, const PackLeaf& leaf) {
    part.clear();
    verify::Entry entry;
    if (verify::read_entry(leaf.bytes, entry).empty() && plan_.selection.is_disclosed(entry, leaf)) {
      TRY(const auto given, fields_.of(entry, leaf.veiled));
      put_disclosed(part, leaf.bytes, given);
      return {};
    }
    const auto hash = evidence::leaf_hash(leaf.bytes);
    part.push_back(0);
    part.insert(part.end(), hash.begin(), hash.end());
    return {};
  }

  Result<void> payloads(Disposition kind) {
    auto chunk = chunks_.cbegin();
    const auto& all = plan_.story.payloads();
    for (std::uint32_t i = 0; i < all.size(); ++i) {
      const auto from = chunk = std::lower_bound(chunk, chunks_.cend(), i, [](const Chunk& one, std::uint32_t payload) { return one.payload < payload; });
      std::uint64_t sealed = 0;
      while (chunk != chunks_.cend() && chunk->payload == i) sealed += chunk++->place.size;
      if (disposition(i) != kind) continue;
      const Chunks chunks(from, chunk);
      if (chunks.size() != all[i].chunks() || chunks.front().number != 0 || chunks.back().number + 1 != chunks.size()) return fail(ErrorKind::Malformed, fmt::format("chunks of the payload of entry {} are missing: run sallyport-verify", all[i].index));
      const bool as_it_is = kind == Disposition::Sealed;
      TRY(const bool due, as_it_is ? file_.begin(numbered("sealed/", all[i].index), sealed) : file_.begin(numbered("payloads/", all[i].index, "-payload"), kSalt + all[i].bytes));
      if (!due) continue;
      TRY_VOID(as_it_is ? copy(all[i], chunks) : open(all[i], chunks));
      TRY_VOID(file_.end());
    }
    return {};
  }

  struct Chunk {
    std::uint32_t payload = 0, number = 0;
    evidence::Reader::ChunkPlace place;
  };
  using Chunks = std::ranges::subrange<std::deque<Chunk>::const_iterator>;

  Result<Bytes> read(const Chunk& chunk) {
    if (!segment_.open() || segment_number_ != chunk.place.segment) {
      TRY(segment_, evidence::File::open(reader_.segment_path(chunk.place.segment), O_RDONLY));
      segment_number_ = chunk.place.segment;
    }
    Bytes out(chunk.place.size);
    if (::pread(segment_.fd(), out.data(), out.size(), static_cast<off_t>(chunk.place.offset)) != static_cast<ssize_t>(out.size())) return fail(ErrorKind::Unavailable, "cannot read " + reader_.segment_path(chunk.place.segment));
    return out;
  }

  static std::unexpected<Error> another(const verify::PayloadStory& one) {
    return fail(ErrorKind::Malformed, fmt::format("the payload of entry {} is not the one that was recorded: run sallyport-verify", one.index));
  }

  Result<void> copy(const verify::PayloadStory& one, Chunks chunks) {
    verify::Sha256 digest;
    for (const auto& chunk : chunks) {
      TRY(const auto bytes, read(chunk));
      digest.add(bytes);
      TRY_VOID(file_.write(bytes));
    }
    return digest.done() == one.digest ? Result<void>{} : another(one);
  }

  Result<void> open(const verify::PayloadStory& one, Chunks chunks) {
    const auto& session = plan_.story.sessions()[one.session].id;
    TRY(const auto key, keys_.key(session));
    std::optional<verify::HmacSha256> mac;
    std::uint64_t plain = 0;
    Bytes piece(kPiece);
    for (const auto& chunk : chunks) {
      TRY(const auto sealed, read(chunk));
      TRY(const auto text, evidence::open_chunk(key, session, one.first() + chunk.number, sealed));
      std::size_t from = 0;
      if (!mac) {
        if (text.size() < kSalt) return another(one);
        mac.emplace(ByteView(text).first(kSalt));
        TRY_VOID(file_.write(ByteView(text).first(kSalt)));
        from = kSalt;
      }
      const auto size = ZSTD_decompress(piece.data(), piece.size(), text.data() + from, text.size() - from);
      if (ZSTD_isError(size) || (plain += size) > one.bytes) return another(one);
      mac->add(ByteView(piece).first(size));
      TRY_VOID(file_.write(ByteView(piece).first(size)));
    }
    return mac && mac->done() == one.digest ? Result<void>{} : another(one);
  }

  Result<void> policies() {
    for (const auto& policy : plan_.story.policies()) {
      if (std::ranges::binary_search(plan_.manifest.missing_policies, policy)) continue;
      TRY(const auto text, evidence::read_file(reader_.directory() + "/policies/" + hex(policy) + ".yaml"));
      TRY_VOID(file_.add("policies/" + hex(policy) + ".yaml", as_text(text)));
    }
    return {};
  }

  Result<void> timestamps() {
    for (const auto& name : plan_.timestamps) {
      TRY(const auto bytes, evidence::read_file(reader_.directory() + "/timestamps/" + name));
      TRY_VOID(file_.add("timestamps/" + name, as_text(bytes)));
    }
    return {};
  }

  const evidence::Reader& reader_;
  const PackPlan& plan_;
  evidence::StoredKeys& keys_;
  PackFile& file_;
  PackFields fields_;
  struct Wanted {
    std::uint32_t session, payload;
    std::uint64_t number;   // of the payload in its session
    std::pair<std::uint32_t, std::uint64_t> place() const { return {session, number}; }
  };
  std::vector<Wanted> wanted_;   // by place(), until entries() has passed; of millions a map takes four times as much
  std::map<Id16, std::uint32_t> session_at_;
  std::deque<Chunk> chunks_;         // not a vector: growing would hold them twice
  evidence::File segment_;
  std::uint32_t segment_number_ = 0;
};

/// Names the plan: a journal of another one is not gone on with.
std::string identity_of(const PackPlan& plan) {
  verify::Sha256 all;
  const auto proof = verify::write_range_proof(plan.proof);
  for (const auto& text : {verify::write_manifest(plan.manifest), plan.note, std::string(as_text(proof)), plan.heads, report_of(plan)}) all.add(as_bytes(std::to_string(text.size()) + "\n")).add(as_bytes(text));
  return hex(all.done());
}

}  // namespace

Result<std::unique_ptr<PackPlan>> make_pack(const evidence::Reader& reader, PackQuestion question, const PackTask& task) {
  TRY(auto keys, evidence::StoredKeys::open(reader.directory(), reader.origin()));
  if (reader.first() != 0 && !question.from_index && !question.from_ns) {
    // All that there is; the manifest says that it is not all there was.
    question.from_index = reader.first();
    question.query.from_index = std::to_string(reader.first());
  }
  // Of format 2, so that it says all of the question.
  const verify::Manifest asked{.format = verify::kPackFormatVeiled, .origin = reader.origin(), .query = question.query};
  const auto text = verify::write_manifest(asked);
  std::string note;
  if (const auto journal = PackJournal::read(task.out); journal && journal->question == text) {
    note = journal->note;
  } else {
    // Where there are witnesses, the newest head that they cosigned: an auditor then need not take the gateway's word for its time.
    TRY(const auto head, evidence::LogView(reader.directory()).head(0));
    note = head.note;
  }
  TRY(auto plan, plan_pack(reader, std::move(question), std::move(note), keys, task.tool));
  TRY(auto file, PackFile::open(task.out, {text, plan->note, identity_of(*plan)}, task.files));
  if (task.begun) file.on_progress(task.begun(*plan, file.resumed()));
  TRY_VOID(Writer(reader, *plan, keys, file).run());
  return plan;
}

}  // namespace sallyport::cli
