#include "anchor/witness.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

#include "evidence/cosignature.h"
#include "evidence/file_ops.h"
#include "evidence/merkle.h"

namespace sallyport::anchor {

using evidence::Checkpoint;
using evidence::NoteKey;

namespace {

struct Submission {
  std::uint64_t old_size = 0;
  std::vector<Digest> proof;
  std::string_view note, text;
};

Result<Submission> parse(std::string_view body) {
  const auto line = [&]() -> Result<std::string_view> {
    const auto end = body.find('\n');
    if (end == std::string_view::npos) return fail(ErrorKind::Malformed, "the request is cut off");
    const auto out = body.substr(0, end);
    body.remove_prefix(end + 1);
    return out;
  };
  Submission out;
  TRY(auto old, line());
  if (!old.starts_with("old ")) return fail(ErrorKind::Malformed, "the first line must be: old SIZE");
  old.remove_prefix(4);
  const auto [end, error] = std::from_chars(old.data(), old.data() + old.size(), out.old_size);
  if (error != std::errc() || end != old.data() + old.size() || (old.size() > 1 && old[0] == '0')) return fail(ErrorKind::Malformed, "the old size is not a plain decimal number");
  for (;;) {
    TRY(const auto hash, line());
    if (hash.empty()) break;
    const auto bytes = from_base64(hash);
    if (!bytes || bytes->size() != 32 || out.proof.size() == 63) return fail(ErrorKind::Malformed, "the proof is at most 63 lines of 32 bytes in base64");
    std::ranges::copy(*bytes, out.proof.emplace_back().begin());
  }
  out.note = body;
  const auto gap = body.rfind("\n\n");
  if (gap == std::string_view::npos) return fail(ErrorKind::Malformed, "the checkpoint has no signatures");
  out.text = body.substr(0, gap + 1);
  return out;
}

Witness::Answer refuse(unsigned status, std::string why) { return {status, "text/plain; charset=utf-8", std::move(why) + "\n"}; }

bool grew(const Checkpoint& from, const Checkpoint& to, const Submission& submission) {
  if (to.size == 0) return submission.proof.empty() && to.root == sha256({});
  if (from.size == 0) return submission.proof.empty();
  return evidence::verify_consistency(from.size, to.size, from.root, to.root, submission.proof);
}

}  // namespace

std::string Witness::file_of(std::string_view origin) const { return directory_ + "/" + hex(sha256(as_bytes(origin))); }

Result<Witness> Witness::open(std::string directory, NoteKey signer, const std::vector<NoteKey>& logs) {
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) return evidence::system_failure("cannot make " + directory, errno);
  Witness out(std::move(directory), std::move(signer));
  for (const auto& key : logs) out.logs_[key.name].keys.push_back(key);
  for (auto& [origin, seen] : out.logs_) TRY_VOID(out.load(origin, seen));
  return out;
}

Result<void> Witness::load(const std::string& origin, Seen& seen) const {
  const auto path = file_of(origin);
  if (::access(path.c_str(), F_OK) != 0) return {};
  TRY(const auto bytes, evidence::read_file(path));
  seen.note = as_text(bytes);
  const auto gap = seen.note.rfind("\n\n");
  const auto text = std::string_view(seen.note).substr(0, gap == std::string::npos ? 0 : gap + 1);
  const auto head = evidence::parse_checkpoint(text);
  const auto own = evidence::cosigned_at(seen.note, *evidence::parse_cosigner_key(verifier_key()));
  if (!head || head->origin != origin || !own || !*own) {
    return fail(ErrorKind::Unavailable, path + " is not a head of " + origin + " that this witness cosigned; restore it from a copy");
  }
  seen.head = *head;
  return {};
}

std::string Witness::verifier_key() const { return evidence::cosigner_key_of(signer_); }

Witness::Answer Witness::add_checkpoint(std::string_view body, std::uint64_t seconds) {
  const auto submission = parse(body);
  if (!submission) return refuse(400, submission.error().what);
  const auto head = evidence::parse_checkpoint(submission->text);
  if (!head) return refuse(400, head.error().what);
  const auto found = logs_.find(head->origin);
  if (found == logs_.end()) return refuse(404, "this witness does not know the log " + head->origin);
  auto& seen = found->second;
  bool signed_by_log = false;
  for (const auto& key : seen.keys) {
    const auto opened = evidence::open_note(submission->note, key);
    if (opened) signed_by_log = true;
    else if (opened.error().what.find("wrong signature") != std::string::npos) return refuse(403, opened.error().what);
  }
  if (!signed_by_log) return refuse(403, "the checkpoint is not signed by a key this witness trusts for " + head->origin);
  if (submission->old_size > head->size) return refuse(400, "the old size is larger than the checkpoint's");
  if (submission->old_size != seen.head.size) return {409, "text/x.tlog.size", std::to_string(seen.head.size) + "\n"};
  if (!grew(seen.head, *head, *submission)) return refuse(422, fmt::format("the tree of {} entries did not grow from the one of {} that this witness cosigned", head->size, seen.head.size));
  const auto line = evidence::cosign(signer_, submission->text, seconds);
  auto note = std::string(submission->note) + line;
  // Before the answer: a witness that forgets what it cosigned is none.
  if (const auto kept = evidence::replace_file(file_of(head->origin), as_bytes(note)); !kept) return refuse(500, "the witness cannot keep the head: " + kept.error().what);
  seen.head = *head;
  seen.note = std::move(note);
  return {200, "text/plain; charset=utf-8", line};
}

Witness::Answer Witness::checkpoint(std::string_view origin_hash) const {
  for (const auto& [origin, seen] : logs_)
    if (!seen.note.empty() && hex(sha256(as_bytes(origin))) == origin_hash) return {200, "text/plain; charset=utf-8", seen.note};
  return refuse(404, "this witness has cosigned nothing of such a log");
}

}  // namespace sallyport::anchor
