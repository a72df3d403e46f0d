#include "cli/pack_plan.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "evidence/file_ops.h"
#include "evidence/log_view.h"
#include "verify/json_text.h"
#include "verify/pack_names.h"
#include "verify/veil.h"

namespace sallyport::cli {
namespace {

constexpr std::uint64_t kPart = 65536;
constexpr std::size_t kMostHeads = 65536;

std::unexpected<Error> not_a_log(std::uint64_t index, const std::string& why) {
  return fail(ErrorKind::Malformed, fmt::format("entry {}: {}; run sallyport-verify", index, why));
}

/// A range that would have entries in it that are gone is no answer to its question.
std::unexpected<Error> pruned_before(std::uint64_t first) {
  return fail(ErrorKind::Denied, fmt::format("entries 0 to {} were pruned: a range can begin with entry {} (--from-index {})", first - 1, first, first));
}

/// The notes of an archive, one at a time; a last one without its empty line is what a crash left.
void each_note(const std::string& path, const std::function<void(std::uint64_t size, const std::string& note)>& visit) {
  std::ifstream in(path, std::ios::binary);
  std::string note, line;
  std::size_t empty = 0;
  while (std::getline(in, line) && !in.eof()) {
    if (line.empty() && ++empty == 2) {
      if (const auto head = evidence::parse_checkpoint(note.substr(0, note.find("\n\n") + 1))) visit(head->size, note);
      note.clear();
      empty = 0;
    } else {
      note += line + "\n";
    }
  }
}

class Planner {
 public:
  Planner(const evidence::Reader& reader, PackPlan& plan, evidence::StoredKeys& keys) : reader_(reader), plan_(plan), fields_(plan.question.query, keys) {}

  Result<void> run() {
    TRY_VOID(first_pass());
    TRY_VOID(second_pass());
    archive();
    timestamps();
    return {};
  }

 private:
  /// The range, the proof around it, and which sessions and approvals the question is about.
  Result<void> first_pass() {
    const auto& q = plan_.question;
    const std::uint64_t size = plan_.head.size;
    evidence::CompactRange tree = reader_.before();
    if (q.from_index && *q.from_index < tree.size()) return pruned_before(tree.size());
    std::optional<std::uint64_t> a, b;
    std::vector<evidence::CompactRange> right;
    std::vector<unsigned> levels;
    const auto bound = [&](const std::optional<std::uint64_t>& index, const std::optional<std::int64_t>& ns, const verify::Entry& entry) {
      return index ? entry.index >= *index : ns && static_cast<std::int64_t>(entry.wall) >= *ns;
    };
    const auto begin = [&](std::uint64_t at) {
      a = at;
      plan_.proof.left.assign(tree.hashes().begin(), tree.hashes().end());
    };
    Error error;
    TRY_VOID(reader_.scan([&](ByteView leaf, ByteView veiled) {
      const auto index = tree.size();
      if (index == size) return false;
      verify::Entry entry;
      if (const auto wrong = verify::read_entry(leaf, entry); !wrong.empty() || entry.index != index) {
        error = not_a_log(index, wrong.empty() ? "it has another index" : wrong).error();
        return false;
      }
      if (!a && q.from_ns && index != 0 && index == reader_.first() && bound({}, q.from_ns, entry)) {
        error = pruned_before(index).error();
        return false;
      }
      if (!a && ((!q.from_index && !q.from_ns) || bound(q.from_index, q.from_ns, entry))) begin(index);
      if (a && !b && (q.to_index || q.to_ns) && bound(q.to_index, q.to_ns, entry)) {
        b = index;
        levels = verify::cover(index, size);
      }
      if (!b) {
        if (auto learned = plan_.selection.learn(entry, {leaf, veiled}, a.has_value()); !learned) {
          error = std::move(learned).error();
          return false;
        }
      }
      const auto hash = evidence::leaf_hash(leaf);
      if (b) {
        if (right.empty() || right.back().size() == std::uint64_t{1} << levels[right.size() - 1]) right.emplace_back();
        right.back().append(hash);
      }
      if (reader_.first() == 0) blocks_.leaf(hash);
      tree.append(hash);
      return true;
    }));
    if (!error.what.empty()) return std::unexpected(std::move(error));
    if (tree.size() < size) return fail(ErrorKind::Malformed, fmt::format("the log has {} entries, its newest signed head {}: run sallyport-verify", tree.size(), size));
    if (tree.root() != plan_.head.root) return fail(ErrorKind::Malformed, "the log is not the one that its newest head was signed for: run sallyport-verify");
    blocks_.end();
    if (!a) begin(size);
    plan_.proof.a = *a;
    plan_.proof.b = b.value_or(size);
    plan_.proof.size = size;
    for (const auto& one : right) plan_.proof.right.push_back(one.root());
    return {};
  }

  /// What is disclosed, the sizes of its members, and the receipts that explain it.
  Result<void> second_pass() {
    const auto& proof = plan_.proof;
    for (std::uint64_t i = proof.a; i < proof.b; i += kPart) plan_.part_sizes.push_back(0);
    std::vector<Digest> block;
    std::vector<std::pair<std::uint64_t, Bytes>> found;   // contexts of the block at hand
    std::map<std::uint64_t, std::pair<Bytes, std::vector<Digest>>> contexts;
    std::map<std::uint64_t, std::string> context_fields;
    const auto& wanted = plan_.selection.contexts();
    const auto last = wanted.empty() ? proof.b : std::max(proof.b, std::min(proof.size, (*wanted.rbegin() / BlockHashes::kBlock + 1) * BlockHashes::kBlock));
    // Of a pruned log the blocks cannot be had, and its tiles are read.
    evidence::LogView view(reader_.directory());
    const bool from_tiles = reader_.first() != 0;
    std::uint64_t index = reader_.first();
    Error error;
    TRY_VOID(reader_.scan([&](ByteView leaf, ByteView veiled) {
      if (index >= last) return false;
      const auto at = wanted.lower_bound(index / BlockHashes::kBlock * BlockHashes::kBlock);
      if (at != wanted.end() && *at < (index / BlockHashes::kBlock + 1) * BlockHashes::kBlock) {
        block.push_back(evidence::leaf_hash(leaf));
        if (wanted.contains(index)) {
          verify::Entry entry;
          if (verify::read_entry(leaf, entry).empty()) {
            const auto given = fields_.of(entry, veiled);
            if (!given) return error = given.error(), false;
            if (!given->sealed) context_fields[index] = as_text(given->bytes);
            plan_.story.context(entry), note_people(entry);
          }
          found.emplace_back(index, Bytes(leaf.begin(), leaf.end()));
        }
        if ((index + 1) % BlockHashes::kBlock == 0 || index + 1 == proof.size) {
          for (auto& [i, bytes] : found) {
            auto made = from_tiles ? evidence::inclusion_proof(i, proof.size, view.nodes()) : blocks_.proof(i, block);
            if (!made) return error = std::move(made).error(), false;
            contexts[i] = {std::move(bytes), std::move(*made)};
          }
          found.clear();
          block.clear();
        }
      }
      if (index >= proof.a && index < proof.b)
        if (auto taken = take(index, {leaf, veiled}); !taken) return error = std::move(taken).error(), false;
      // As soon as it is known: a log of that size takes minutes to read.
      if (plan_.story.payloads().size() > verify::kMostPayloads) {
        error = Error(ErrorKind::Overloaded, fmt::format("more than {} payloads up to entry {}: ask for a part of the range, with --to-index or --to", verify::kMostPayloads, index));
        return false;
      }
      ++index;
      return true;
    }));
    if (!error.what.empty()) return std::unexpected(std::move(error));
    for (const auto& [i, one] : contexts) {
      auto text = fmt::format("c2sp.org/tlog-proof@v1\nextra {}\nindex {}\n", base64(one.first), i);
      for (const auto& hash : one.second) text += base64(hash) + "\n";
      plan_.contexts.push_back({i, text + "\n" + plan_.note, context_fields[i]});
    }
    if (plan_.contexts.size() > 65536) return fail(ErrorKind::Overloaded, "more than 65,536 sessions began before the range: take a range that begins earlier");
    return {};
  }

  Result<void> take(std::uint64_t index, const PackLeaf& leaf) {
    verify::Entry entry;
    auto& size = plan_.part_sizes[(index - plan_.proof.a) / kPart];
    if (!verify::read_entry(leaf.bytes, entry).empty() || !plan_.selection.is_disclosed(entry, leaf)) {
      plan_.story.withheld();
      size += 33;
      return {};
    }
    TRY(const auto given, fields_.of(entry, leaf.veiled));
    plan_.story.disclosed(entry, given.sealed);
    note_people(entry);
    size += disclosed_size(leaf.bytes, given);
    return {};
  }

  void note_people(const verify::Entry& entry) {
    for (const auto who : {entry.subject, entry.approver})
      if (evidence::is_pseudonym(who)) plan_.pseudonyms.emplace(who);
  }

  /// Heads of the archive within the range, one a size; of very many the first of each stretch.
  void archive() {
    const auto path = reader_.directory() + "/checkpoints";
    const auto a = plan_.proof.a, b = plan_.proof.b;
    std::uint64_t count = 0, before = a;
    each_note(path, [&](std::uint64_t size, const std::string&) {
      if (size > before && size <= b) ++count, before = size;
    });
    const std::uint64_t stretch = count > kMostHeads ? (b - a + kMostHeads - 1) / kMostHeads : 1;
    std::optional<std::uint64_t> last;
    before = a;
    plan_.manifest.checkpoints = 0;
    each_note(path, [&](std::uint64_t size, const std::string& note) {
      if (size <= before || size > b) return;
      before = size;
      const auto bucket = (size - a - 1) / stretch;
      if (last == bucket) return;
      last = bucket;
      plan_.heads += note + "\n";
      ++plan_.manifest.checkpoints;
    });
  }

  /// Answers of timestamp services over heads in the range, and over the first one that covers it whole.
  void timestamps() {
    std::error_code error;
    std::vector<std::pair<std::uint64_t, std::string>> all;
    for (const auto& file : std::filesystem::directory_iterator(reader_.directory() + "/timestamps", error)) {
      const auto name = file.path().filename().string();
      if (name.size() == 24 && name.ends_with(".tsr") && name.find_first_not_of("0123456789") == 20) all.emplace_back(std::strtoull(name.c_str(), nullptr, 10), name.substr(0, 20));
    }
    std::ranges::sort(all);
    bool covered = false;
    for (const auto& [size, stem] : all) {
      if (size <= plan_.proof.a || size > plan_.proof.size || covered) continue;
      covered = size >= plan_.proof.b;
      if (std::filesystem::exists(reader_.directory() + "/timestamps/" + stem + ".note", error)) plan_.timestamps.push_back(stem + ".note");
      plan_.timestamps.push_back(stem + ".tsr");
      plan_.manifest.timestamps.push_back(size);
    }
  }

  const evidence::Reader& reader_;
  PackPlan& plan_;
  PackFields fields_;
  BlockHashes blocks_;
};

/// The member `names`: openings of the pseudonyms that stand in disclosed entries and whose names are still kept.
std::string names_of(const PackPlan& plan, const evidence::NameTable& names) {
  std::string out;
  if (!plan.question.names) return out;
  for (const auto& pseudonym : plan.pseudonyms)
    if (const auto at = names.find(pseudonym); at != names.end())
      out += fmt::format(R"({{"salt":"{}","token":"{}","value":{}}})" "\n", base64(at->second.salt), pseudonym, verify::json_string(at->second.value));
  return out;
}

}  // namespace

void BlockHashes::leaf(const Digest& hash) {
  at_hand_.append(hash);
  if (at_hand_.size() == kBlock) end();
}

void BlockHashes::end() {
  if (at_hand_.size() == 0) return;
  blocks_.push_back(at_hand_.root());
  at_hand_ = {};
}

Result<std::vector<Digest>> BlockHashes::proof(std::uint64_t index, std::span<const Digest> block) const {
  const auto leaves_of = [](std::span<const Digest> all) {
    return [all](unsigned level, std::uint64_t number) -> Result<std::optional<Digest>> { return level == 0 && number < all.size() ? std::optional(all[number]) : std::nullopt; };
  };
  // Splits of the tree that are wider than a block fall on multiples of it, so the tree over the blocks is the tree's upper part.
  TRY(auto out, evidence::inclusion_proof(index % kBlock, block.size(), leaves_of(block)));
  TRY(const auto upper, evidence::inclusion_proof(index / kBlock, blocks_.size(), leaves_of(blocks_)));
  out.insert(out.end(), upper.begin(), upper.end());
  return out;
}

Result<std::unique_ptr<PackPlan>> plan_pack(const evidence::Reader& reader, PackQuestion question, std::string note, evidence::StoredKeys& keys, std::string tool) {
  auto plan = std::make_unique<PackPlan>(std::move(question));
  plan->note = std::move(note);
  const auto split = plan->note.find("\n\n");
  if (split == std::string::npos) return fail(ErrorKind::Malformed, reader.directory() + "/checkpoint is no signed head");
  TRY(plan->head, evidence::parse_checkpoint(plan->note.substr(0, split + 1)));
  plan->selection.know(reader);
  TRY_VOID(Planner(reader, *plan, keys).run());
  for (const auto index : plan->question.query.disclose)
    if (std::ranges::find(plan->story.payloads(), index, &verify::PayloadStory::index) == plan->story.payloads().end())
      return fail(ErrorKind::Denied, fmt::format("entry {} is not disclosed, or has no payload", index));
  std::string why;
  plan->names = names_of(*plan, reader.names());
  auto openings = verify::read_names(plan->names, why);
  if (!openings) return fail(ErrorKind::Internal, "names: " + why);
  plan->openings = std::move(*openings);
  auto& m = plan->manifest;
  m.names = plan->openings.size();
  m.a = plan->proof.a, m.b = plan->proof.b, m.size = plan->proof.size;
  m.contexts = plan->contexts.size();
  m.origin = plan->head.origin;
  m.query = plan->question.query;
  m.tool = std::move(tool);
  // Their texts name the targets.
  const bool policies = (verify::withheld_of(m.query) & verify::kTargetField) == 0;
  for (const auto& policy : plan->story.policies()) {
    if (!policies) {
      m.missing_policies.push_back(policy);
      continue;
    }
    const auto text = evidence::read_file(reader.directory() + "/policies/" + hex(policy) + ".yaml");
    if (!text || sha256(*text) != policy) m.missing_policies.push_back(policy);
  }
  for (const auto& session : plan->story.sessions())
    if (keys.erased(session.id)) m.sessions.push_back({session.id, 0, false, true});
  plan->story.fill(m);
  return plan;
}

}  // namespace sallyport::cli
