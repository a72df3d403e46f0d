// Judging a pack as its members come. Their order (docs/formats/pack.md) is what makes one pass enough.
#include "verify/pack.h"

#include <algorithm>
#include <cstdlib>

#include "verify/controls.h"
#include "verify/hmac.h"
#include "verify/pack_names.h"
#include "verify/pack_parts.h"
#include "verify/pack_rules.h"
#include "verify/pack_times.h"
#include "verify/range_proof.h"
#include "verify/receipt.h"
#include "verify/veil.h"
#include "verify/zip_reader.h"

namespace sallyport::verify {
namespace {

constexpr std::size_t kMostFaults = 100, kMostHeads = 65536, kPart = 65536, kSalt = 16, kMostContexts = 65536;

std::string_view text_of(const Blob& bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

}  // namespace

class PackChecker::State : public ZipVisitor {
 public:
  explicit State(const PackSettings& settings)
      : settings_(settings), zip_(*this), rules_(0, [this](Fault one) { fault(std::move(one)); }), leaves_([this](View entry, View more, bool sealed) { disclosed(entry, more, sealed); }, [this](const Hash& leaf) { withheld(leaf); }) {
    report_.origin = settings.key.name;
  }
  void feed(View bytes) { report_.bytes += bytes.size(), zip_.feed(bytes); }
  PackReport finish();

  std::string begin(const ZipMember& member) override;
  void data(View bytes) override;
  void end(const ZipMember& member, bool crc_is_right) override;

 private:
  void fault(Fault one) {
    ++report_.fault_count;
    if (report_.faults.size() < kMostFaults) report_.faults.push_back(std::move(one));
  }
  void fault(const char* code, std::string what, std::optional<std::uint64_t> index = {}) { fault({code, std::move(what), name_, {}, index}); }
  void checkpoint();
  void proof();
  void heads();
  void context();
  void begin_entries();
  void disclosed(View entry, View more, bool sealed);
  void open(Entry& entry, View more, bool sealed);
  void withheld(const Hash& leaf);
  void leaf(const Hash& hash);
  void end_range();
  void manifest();
  void names();
  void begin_payload(const ZipMember& member);
  void payload_data(View bytes);
  void end_payload();
  void end_payloads(Disposition kind);
  void timestamp();
  void judge_manifest(const Manifest& said);
  void judge_query(const Query& query);
  void judge_texts(const Manifest& said);
  void summary();

  const PackSettings settings_;
  PackReport report_;
  ZipReader zip_;
  PackRules rules_;
  Leaves leaves_;
  PackStory story_;
  MemberDigests digests_;
  Openings names_;

  std::string name_;            // the member at hand
  PartName part_;
  Sha256 sha_;
  Blob held_;                   // its content, of a small one
  std::set<Part> seen_;

  std::string note_;
  std::optional<Head> head_;
  std::optional<RangeProof> range_;
  Tree tree_;
  bool range_ended_ = false, leaves_bad_ = false;
  struct Known {
    std::uint64_t size = 0;
    Hash root{};
  };
  std::vector<Known> heads_;
  std::size_t next_head_ = 0;
  std::uint64_t contexts_ = 0, part_end_ = 0;
  std::optional<std::pair<std::uint64_t, Blob>> context_fields_;   // of the receipt that comes next
  Hash controls_{}, html_{}, readme_{};
  std::optional<Manifest> manifest_;
  std::set<Hash> policies_;
  std::vector<std::uint64_t> timestamps_;
  Blob stamped_;                // the head that the next answer is over
  std::uint64_t stamped_size_ = 0;
  PackTimes times_;

  std::size_t payload_ = 0;     // the next of story_.payloads() to look at, in payloads/ and again in sealed/
  Disposition payload_kind_ = Disposition::None;
  const PayloadStory* at_payload_ = nullptr;
  const Hash* commitment_ = nullptr;   // its
  std::optional<HmacSha256> mac_;
  Blob salt_;
  std::uint64_t plain_ = 0;
};

std::string PackChecker::State::begin(const ZipMember& member) {
  name_ = member.name;
  const auto before = part_.part;
  part_ = part_of(member.name);
  if (part_.part == Part::None) return printable(name_) + " is no member of a pack";
  const auto most = most_of(part_.part);
  if (most != 0 && member.size > most) return name_ + " is too large";
  if (before != part_.part && before == Part::Payload) end_payloads(Disposition::Opened);
  if (before != part_.part && before == Part::Sealed) end_payloads(Disposition::Sealed);
  if (part_.part > Part::Entries) end_range();
  if (context_fields_ && (part_.part != Part::Context || part_.number != context_fields_->first)) fault("pack-context", "opened fields stand before it that are of another entry"), context_fields_.reset();
  seen_.insert(part_.part);
  ++report_.members;
  sha_ = Sha256();
  held_.clear();
  if (part_.part == Part::Entries) begin_entries();
  if (part_.part == Part::Payload || part_.part == Part::Sealed) begin_payload(member);
  return "";
}

void PackChecker::State::data(View bytes) {
  if (part_.part != Part::Manifest) sha_.add(bytes);
  if (most_of(part_.part) != 0) held_.insert(held_.end(), bytes.begin(), bytes.end());
  else if (part_.part == Part::Entries) {
    if (!leaves_bad_ && !leaves_.feed(bytes)) leaves_bad_ = true, fault("pack-entry", "it holds something that is no leaf, behind leaf " + std::to_string(tree_.size()), tree_.size());
  } else if (part_.part == Part::Payload || part_.part == Part::Sealed) payload_data(bytes);
}

void PackChecker::State::end(const ZipMember& member, bool crc_is_right) {
  if (!crc_is_right) fault("pack-form", "its checksum is wrong: it was changed after it was made");
  const auto digest = part_.part == Part::Payload || part_.part == Part::Sealed ? Sha256(sha_).done() : part_.part == Part::Manifest ? Hash{} : sha_.done();
  if (part_.part != Part::Manifest) digests_.add(member.name, digest);
  switch (part_.part) {
    case Part::Readme: readme_ = digest; break;
    case Part::Checkpoint: checkpoint(); break;
    case Part::Proof: proof(); break;
    case Part::Heads: heads(); break;
    case Part::ContextFields: context_fields_.emplace(part_.number, held_); break;
    case Part::Context: context(); break;
    case Part::Controls: controls_ = digest; break;
    case Part::Entries:
      if (!leaves_bad_ && !leaves_.ended()) leaves_bad_ = true, fault("pack-entry", "its last record is cut off", tree_.size());
      if (range_ && !leaves_bad_ && tree_.size() != part_end_) fault("pack-entry", "it ends behind leaf " + std::to_string(tree_.size()) + ", due is " + std::to_string(part_end_), tree_.size());
      break;
    case Part::Manifest: manifest(); break;
    case Part::Names: names(); break;
    case Part::Payload: case Part::Sealed: end_payload(); break;
    case Part::Policy:
      if (digest != part_.digest) fault("pack-context", "it is another text than its name says");
      if (story_.policies().count(part_.digest) == 0) fault("pack-context", "no entry in the pack uses this policy");
      policies_.insert(part_.digest);
      break;
    case Part::Report: html_ = digest; break;
    case Part::Timestamp:
      if (timestamps_.empty() || timestamps_.back() != part_.number) timestamps_.push_back(part_.number);
      if (settings_.stamped_at) timestamp();
      break;
    case Part::None: break;
  }
}

void PackChecker::State::checkpoint() {
  std::string why;
  note_ = text_of(held_);
  head_ = open_note(note_, settings_.key, why);
  if (!head_) return fault("pack-head", "the signed head does not count: " + why);
  if (head_->origin != settings_.key.name) fault("pack-head", "the signed head is of the log " + head_->origin + ", the key is of " + settings_.key.name);
  report_.quorum = settings_.quorum;
  for (const auto& witness : settings_.witnesses) {
    for (const auto& other : head_->others) {
      if (other.name != witness.name || other.id != witness.id) continue;
      if (cosigned_at(head_->text, witness, other)) ++report_.cosigned;
      else fault("witness", "the cosignature of " + witness.name + " under the signed head is wrong");
      break;
    }
  }
}

void PackChecker::State::proof() {
  range_ = read_range_proof(held_);
  if (!range_) return fault("pack-proof", "it is no range and its proof");
  if (head_ && range_->size != head_->size) fault("pack-proof", "it is for a log of " + std::to_string(range_->size) + " entries, the signed head for " + std::to_string(head_->size));
  tree_ = Tree(range_->a, range_->left);
  rules_ = PackRules(range_->a, [this](Fault one) { fault(std::move(one)); });
  part_end_ = range_->a;
}

void PackChecker::State::heads() {
  std::string_view rest = text_of(held_);
  while (!rest.empty()) {
    const auto body = rest.find("\n\n");
    const auto end = body == std::string_view::npos ? body : rest.find("\n\n", body + 2);
    if (end == std::string_view::npos || heads_.size() == kMostHeads) return fault("pack-head", "it is not signed heads with an empty line behind each, 65536 at most");
    std::string why;
    const auto head = open_note(rest.substr(0, end + 1), settings_.key, why);
    rest.remove_prefix(end + 2);
    if (!head) return fault("pack-head", "an archived head does not count: " + why);
    if (head->origin != settings_.key.name) return fault("pack-head", "an archived head is of the log " + head->origin);
    if (!range_ || head->size <= std::max(range_->a, heads_.empty() ? 0 : heads_.back().size) || head->size > range_->b)
      return fault("pack-head", "an archived head of size " + std::to_string(head->size) + " does not follow the one before it, or is not in the range");
    heads_.push_back({head->size, head->root});
  }
}

void PackChecker::State::context() {
  const auto fields = std::exchange(context_fields_, std::nullopt);
  std::string why, code;
  if (++contexts_ > kMostContexts) return fault("pack-context", "there are more than 65536");
  const auto receipts = read_receipts(text_of(held_), why);
  if (!receipts || receipts->size() != 1) return fault("pack-context", receipts ? "it is not one receipt" : why);
  const auto& receipt = receipts->front();
  if (receipt.note != note_) return fault("pack-context", "it ends with another signed head than the pack's");
  auto good = check_receipt(receipt, settings_.key, code, why);
  if (!good) return fault("pack-context", why, receipt.index);
  if (receipt.index != part_.number || !range_ || receipt.index >= range_->a) return fault("pack-context", "its entry has another index than its name, or is in the range", receipt.index);
  if (good->entry.kind != Kind::SessionOpen && good->entry.kind != Kind::ConfigApplied) return fault("pack-context", describe(good->entry) + " explains nothing", receipt.index);
  if (fields) open(good->entry, fields->second, false);
  story_.context(good->entry);
}

void PackChecker::State::begin_entries() {
  leaves_.restart();
  if (!range_) return;
  if (part_.number != tree_.size() || tree_.size() != part_end_ || part_.number >= range_->b) fault("pack-entry", "leaf " + std::to_string(tree_.size()) + " is due" + (part_.number >= range_->b ? ", and the range ends before this" : ""));
  part_end_ = std::min(range_->b, part_.number + kPart);
}

void PackChecker::State::leaf(const Hash& hash) {
  if (!range_ || tree_.size() >= range_->b) {
    if (!std::exchange(leaves_bad_, true)) fault("pack-entry", "there are more leaves than the range has");
    return;
  }
  tree_.add(hash);
  if (next_head_ >= heads_.size() || heads_[next_head_].size != tree_.size()) return;
  if (heads_[next_head_].root != tree_.root()) fault("pack-head", "the entries are not the ones that were signed: the first " + std::to_string(tree_.size()) + " have another root than the archived head", tree_.size() - 1);
  ++next_head_;
}

/// What is given for an entry's veils: opened ones are computed, the record of sealed ones has its digest in the entry.
void PackChecker::State::open(Entry& entry, View more, bool sealed) {
  if (entry.veiled == 0) return fault("pack-veil", describe(entry) + ": it has no veils to open", entry.index);
  if (sealed) {
    const auto digest = Sha256().add(more).done();
    if (!std::ranges::equal(digest, View(entry.veiled_digest, 32))) fault("pack-veil", describe(entry) + ": the record with what its veiled fields say is not the one that was written", entry.index);
    return;
  }
  if (const auto wrong = open_fields(more, entry); !wrong.empty()) fault("pack-veil", describe(entry) + ": " + wrong, entry.index);
}

void PackChecker::State::disclosed(View bytes, View more, bool sealed) {
  Entry entry;
  const auto due = tree_.size();
  if (auto wrong = read_entry(bytes, entry); !wrong.empty()) fault("pack-entry", "entry " + std::to_string(due) + ": " + wrong, due);
  else if (entry.index != due) fault("pack-entry", describe(entry) + " stands where entry " + std::to_string(due) + " is due", due);
  else {
    if (!more.empty()) open(entry, more, sealed);
    story_.disclosed(entry, sealed);
    rules_.entry(entry);
    if (settings_.stamped_at) times_.entry(entry.index, entry.wall);
  }
  leaf(leaf_hash(bytes));
}

void PackChecker::State::withheld(const Hash& hash) {
  story_.withheld();
  leaf(hash);
}

/// All leaves are there: do they lead to the signed root?
void PackChecker::State::end_range() {
  if (std::exchange(range_ended_, true)) return;
  if (story_.payloads().size() > kMostPayloads) fault("pack-entry", "it discloses more payloads than a pack can have");
  if (!range_) return;
  if (tree_.size() != range_->b) return fault({"pack-proof", "the range ends with leaf " + std::to_string(range_->b) + ", the entries with leaf " + std::to_string(tree_.size()), "", {}, {}});
  std::size_t i = 0;
  for (const auto level : cover(range_->b, range_->size)) tree_.add_subtree(range_->right[i++], level);
  if (head_ && tree_.root() != head_->root)
    fault({"pack-proof", "the entries do not lead to the signed root: they, or the hashes beside them, are not the ones that were signed", "", {}, {}});
}

void PackChecker::State::manifest() {
  manifest_ = read_manifest(text_of(held_));
  if (!manifest_) return fault("pack-manifest", "it is not spelled as the format says");
  if (manifest_->format > kPackFormatVeiled) fault("pack-manifest", "its format is " + std::to_string(manifest_->format) + "; this program knows " + std::to_string(kPackFormat) + " and " + std::to_string(kPackFormatVeiled));
  if (manifest_->sessions.size() != story_.sessions().size()) fault("pack-manifest", "it lists " + std::to_string(manifest_->sessions.size()) + " sessions, the entries are of " + std::to_string(story_.sessions().size()));
}

void PackChecker::State::names() {
  std::string why;
  auto read = read_names(text_of(held_), why);
  if (!read) return fault("pack-name", why);
  names_ = std::move(*read);
}

void PackChecker::State::begin_payload(const ZipMember& member) {
  const auto kind = part_.part == Part::Payload ? Disposition::Opened : Disposition::Sealed;
  if (payload_kind_ != kind) payload_ = 0, payload_kind_ = kind;
  at_payload_ = nullptr;
  salt_.clear();
  mac_.reset();
  plain_ = 0;
  const auto& all = story_.payloads();
  for (; payload_ < all.size() && all[payload_].index < part_.number; ++payload_)
    if (manifest_ && payload_ < all.size()) {
      const auto& one = all[payload_];
      const bool erased = one.session < manifest_->sessions.size() && manifest_->sessions[one.session].erased;
      if (disposition_of(manifest_->query, one.index, erased) == kind) fault({"payload-missing", "the payload of entry " + std::to_string(one.index) + " is not in the pack", "", {}, one.index});
    }
  const bool known = payload_ < all.size() && all[payload_].index == part_.number;
  const bool erased = known && manifest_ && all[payload_].session < manifest_->sessions.size() && manifest_->sessions[all[payload_].session].erased;
  if (!known || !manifest_ || disposition_of(manifest_->query, part_.number, erased) != kind) return fault("pack-context", "no disclosed entry has this payload, or it was not asked for", part_.number);
  at_payload_ = &all[payload_];
  commitment_ = &story_.commitment(payload_++);
  if (kind == Disposition::Opened && member.size != at_payload_->bytes + kSalt) fault("payload-content", "it has another length than its entry commits to", part_.number);
}

void PackChecker::State::payload_data(View bytes) {
  if (part_.part != Part::Payload) return;
  const auto n = std::min(kSalt - salt_.size(), bytes.size());
  salt_.insert(salt_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
  bytes = bytes.subspan(n);
  if (salt_.size() == kSalt && !mac_) mac_.emplace(salt_);
  if (mac_ && !bytes.empty()) mac_->add(bytes);
  plain_ += bytes.size();
}

void PackChecker::State::end_payload() {
  if (at_payload_ == nullptr) return;
  if (part_.part == Part::Sealed) {
    if (sha_.done() != at_payload_->digest) fault("payload-altered", "it is not the payload that was recorded", part_.number);
    return;
  }
  if (!mac_ || mac_->done() != *commitment_ || plain_ != at_payload_->bytes) fault("payload-content", "it is not the payload that its entry commits to", part_.number);
}

void PackChecker::State::end_payloads(Disposition kind) {
  if (!manifest_) return;
  const auto& all = story_.payloads();
  for (std::size_t i = payload_kind_ == kind ? payload_ : 0; i < all.size(); ++i) {
    const bool erased = all[i].session < manifest_->sessions.size() && manifest_->sessions[all[i].session].erased;
    if (disposition_of(manifest_->query, all[i].index, erased) == kind) fault({"payload-missing", "the payload of entry " + std::to_string(all[i].index) + " is not in the pack", "", {}, all[i].index});
  }
}

/// A head, then the authority's answer over it: what the head covers was there by then, and nothing behind it was written before.
void PackChecker::State::timestamp() {
  constexpr std::uint64_t kSecond = 1'000'000'000, kTolerance = 300;
  if (name_.ends_with(".note")) return stamped_ = held_, stamped_size_ = part_.number, void();
  if (stamped_.empty() || stamped_size_ != part_.number) return fault("timestamp", "the head that it is over is missing");
  std::string why;
  const auto head = open_note(text_of(stamped_), settings_.key, why);
  if (!head || head->origin != settings_.key.name || head->size != part_.number) return fault("timestamp", "what it is over is no head of this log and size");
  const auto known = std::ranges::lower_bound(heads_, head->size, {}, &Known::size);
  const bool other = known != heads_.end() && known->size == head->size && known->root != head->root;
  if (other || (head_ && head_->size == head->size && head_->root != head->root)) return fault("timestamp", "the head that it is over has another root than the pack's of that size");
  const auto time = settings_.stamped_at(stamped_, held_, why);
  if (!time) return fault("timestamp", "it does not count: " + why);
  const auto dated = [&](const PackTimes::Entry& entry, const char* what) {
    fault("back-dated", "entry " + std::to_string(entry.index) + " says it was written at second " + std::to_string(entry.wall / kSecond) + " (since 1970), and " + what + " the authority saw at second " + std::to_string(*time), entry.index);
  };
  if (const auto late = times_.later(head->size, (*time + kTolerance) * kSecond)) dated(*late, "is under a head that");
  if (const auto early = *time > kTolerance ? times_.earlier(head->size, (*time - kTolerance) * kSecond) : std::nullopt) dated(*early, "follows a head that");
  report_.stamped_entries = head->size;
  report_.stamped_at = *time;
}

/// Everything the manifest says that can be known is known now.
void PackChecker::State::judge_manifest(const Manifest& said) {
  Manifest due = said;
  if (range_) due.a = range_->a, due.b = range_->b, due.size = range_->size;
  due.checkpoints = heads_.size();
  due.contexts = contexts_;
  due.names = names_.size();
  due.origin = settings_.key.name;
  due.timestamps = timestamps_;
  due.missing_policies.clear();
  for (const auto& one : story_.policies())
    if (policies_.count(one) == 0) due.missing_policies.push_back(one);
  story_.fill(due);
  if (const auto what = difference(said, due); !what.empty()) fault("pack-manifest", "what it says of " + what + " is not what the pack holds");
  if (const auto what = story_.misplaced_fields(due); !what.empty()) fault("pack-veil", what);
  judge_query(said.query);
  if (!said.query.has_conditions() && due.withheld != 0) fault("pack-manifest", "the question has no conditions, and " + std::to_string(due.withheld) + " entries are withheld");
  const auto found = digests_.done();
  for (const auto& one : said.members) {
    const auto at = std::find_if(found.begin(), found.end(), [&](const MemberDigest& other) { return other.name == one.name; });
    if (at == found.end()) fault("pack-digest", one.name + " is listed and not there");
    else if (!(*at == one)) fault("pack-digest", one.name + " is not what the manifest lists");
  }
  if (found.size() > said.members.size()) fault("pack-digest", "there are members that the manifest does not list");
  for (std::size_t i = 1; i < said.members.size(); ++i)
    if (said.members[i].name <= said.members[i - 1].name) fault("pack-digest", "its members are not in ascending order");
  judge_texts(due);
}

/// The question is the exporter's word; what is disclosed must not contradict it.
void PackChecker::State::judge_query(const Query& query) {
  const auto index = [&](const std::string& text, std::uint64_t open) { return text.empty() ? open : std::min<std::uint64_t>(std::strtoull(text.c_str(), nullptr, 10), range_->size); };
  if (range_ && ((query.from.empty() && range_->a != index(query.from_index, 0)) || (query.to.empty() && range_->b != std::max(range_->a, index(query.to_index, range_->size)))))
    fault("pack-manifest", "the range is not the one that the question asks for");
  if (!query.kind.empty() && (story_.kinds().size() > 1 || (!story_.kinds().empty() && story_.kinds().count(query.kind) == 0))) fault("pack-manifest", "entries of other kinds are disclosed than the question asks for");
  const auto is = [&](const std::string& asked, const std::string& found) {
    const auto at = names_.find(found);
    const auto& value = at == names_.end() ? found : at->second;
    return asked.empty() || value == asked || value.empty() || value[0] == '~' || asked.size() > 200;
  };
  std::size_t unsaid = 0;
  for (const auto& one : story_.sessions()) {
    if (!one.known) continue;
    if (!query.target.empty() && (one.hidden & kTargetField) != 0) ++unsaid;
    if (is(query.user, one.subject) && is(query.target, one.target)) continue;
    fault("pack-manifest", "session " + hex(View(one.id).first(4)) + " is of another user or target than the question's");
  }
  if (unsaid > 0) report_.notes.push_back("the target of " + std::to_string(unsaid) + " sessions is hidden: whether they are on the question's target cannot be said");
}

/// What is made of the entries by fixed rules must be what the rules make.
void PackChecker::State::judge_texts(const Manifest& due) {
  name_ = "README.txt";
  if (readme_ != Sha256().add(view(readme_of(due))).done()) fault("pack-report", "it is another text than packs have");
  name_ = "controls.json";
  if (controls_ != Sha256().add(view(write_controls(story_))).done()) fault("pack-report", "it is not what the entries make");
  if (!head_ || !range_) return;
  name_ = "report.html";
  report_.html = report_html(due, head_->root, story_, names_);
  if (due.report != kReportVersion) report_.notes.push_back("report.html is of version " + std::to_string(due.report) + ", this program makes " + std::to_string(kReportVersion) + ": it was not compared");
  else if (html_ != Sha256().add(view(report_.html)).done()) fault("pack-report", "it is not what the entries make");
}

void PackChecker::State::summary() {
  if (range_) report_.a = range_->a, report_.b = range_->b, report_.size = range_->size;
  report_.disclosed = story_.disclosed_count();
  report_.withheld = story_.withheld_count();
  report_.heads = heads_.size();
  report_.sessions = story_.sessions().size();
  for (const auto& one : story_.sessions()) report_.complete_sessions += one.complete(), report_.commands += one.commands;
  if (const auto at = story_.kinds().find("outcome"); at != story_.kinds().end()) report_.outcomes = at->second;
  report_.timestamps = timestamps_.size();
  if (manifest_) {
    report_.tool = manifest_->tool;
    report_.opened_fields = manifest_->fields_opened, report_.withheld_fields = manifest_->fields_withheld, report_.erased_fields = manifest_->fields_erased, report_.sealed_fields = manifest_->fields_sealed;
    report_.opened = manifest_->opened, report_.sealed = manifest_->sealed, report_.erased = manifest_->erased, report_.absent = manifest_->none;
  }
}

PackReport PackChecker::State::finish() {
  const auto form = zip_.finish();
  name_.clear();
  if (!form.empty()) {
    fault({"pack-form", form, name_, zip_.at(), {}});
  } else {
    end_range();
    if (seen_.count(Part::Payload) == 0 || part_.part == Part::Payload) end_payloads(Disposition::Opened);
    if (seen_.count(Part::Sealed) == 0 || part_.part == Part::Sealed) end_payloads(Disposition::Sealed);
    static constexpr std::pair<Part, const char*> kNeeded[] = {{Part::Readme, "README.txt"}, {Part::Checkpoint, "checkpoint"}, {Part::Proof, "checkpoint-proof"}, {Part::Controls, "controls.json"}, {Part::Manifest, "manifest.json"}, {Part::Report, "report.html"}};
    for (const auto& [part, name] : kNeeded)
      if (seen_.count(part) == 0) fault("pack-form", std::string(name) + " is missing");
    rules_.finish(!manifest_ || manifest_->query.kind.empty());
    for (const auto& one : story_.needless_contexts()) fault("pack-context", one + " explains nothing that is in the pack");
    name_ = "manifest.json";
    if (manifest_) judge_manifest(*manifest_);
    for (const auto index : story_.gaps()) report_.notes.push_back("entry " + std::to_string(index) + " tells of a recovery or a gap");
  }
  summary();
  report_.valid = report_.fault_count == 0;
  if (report_.valid) {
    if (!report_.complete()) report_.notes.push_back("the signed head bears " + std::to_string(report_.cosigned) + " of the " + std::to_string(report_.quorum) + " cosignatures that were asked for");
    if (report_.complete_sessions < report_.sessions) report_.notes.push_back(std::to_string(report_.sessions - report_.complete_sessions) + " sessions are not complete in the pack: begun before the range, not closed in it, or partly withheld");
    for (const auto& one : manifest_->missing_policies) report_.notes.push_back("the text of policy " + hex(one) + " is not in the pack");
    if (report_.withheld_fields > 0) report_.notes.push_back(std::to_string(report_.withheld_fields) + " fields are withheld (" + names_of(withheld_of(manifest_->query)) + "): that they are there is proven, what they say is not");
    if (report_.erased_fields > 0) report_.notes.push_back(std::to_string(report_.erased_fields) + " veiled fields cannot be opened: the keys of their sessions were erased");
    if (report_.sealed_fields > 0) report_.notes.push_back(std::to_string(report_.sealed_fields) + " veiled fields are in the pack sealed: what they say is not proven");
    if (report_.erased > 0) report_.notes.push_back(std::to_string(report_.erased) + " payloads cannot be opened: their keys were erased");
  }
  return std::move(report_);
}

PackChecker::PackChecker(const PackSettings& settings) : state_(std::make_unique<State>(settings)) {}
PackChecker::~PackChecker() = default;
PackChecker::PackChecker(PackChecker&&) noexcept = default;
void PackChecker::feed(View bytes) { state_->feed(bytes); }
PackReport PackChecker::finish() { return state_->finish(); }

}  // namespace sallyport::verify
