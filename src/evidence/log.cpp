#include "evidence/log.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>

#include "evidence/log_state.h"
#include "evidence/note.h"
#include "evidence/reader.h"

namespace sallyport::evidence {
namespace {

Result<void> make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return system_failure("cannot make " + path, errno);
  return {};
}

/// The signer's memory counts; a published checkpoint that is larger says that the memory was rolled back.
Result<void> compare_with_checkpoint(const Options& options, Signer& signer) {
  const auto path = options.directory + "/checkpoint";
  const auto note = read_file(path);
  if (!note || note->empty()) return {};  // a copy for readers; the signer's memory is what counts
  TRY(const auto key, parse_verifier_key(signer.verifier_key()));
  const auto text = open_note(as_text(*note), key);
  if (!text) return fail(ErrorKind::Malformed, path + " is not a head of this log: " + text.error().what);
  TRY(const auto head, parse_checkpoint(*text));
  TRY(const auto last, signer.last());
  const auto size = last.size();
  if (head.size > size || (head.size == size && head.root != last.root())) {
    return fail(ErrorKind::Malformed, fmt::format("{} is a head over {} entries, but the notary knows of {} only: one of them was rolled back; restore both from one copy",
                                                  path, head.size, size));
  }
  return {};
}

}  // namespace

Log::Log(std::unique_ptr<State> state) : state_(std::move(state)) {}
Log::~Log() { stop(); }

Result<std::unique_ptr<Log>> Log::open(Options options, std::unique_ptr<Signer> signer, const Clock& clock) {
  if (!is_key_name(options.origin) || options.origin.size() > 1024) {
    return fail(ErrorKind::Unavailable, "the evidence origin '" + options.origin + "' is empty, too long, or has white space or '+'");
  }
  options.segment_bytes = std::clamp<std::uint64_t>(options.segment_bytes, 64U << 10, 1U << 30);
  TRY_VOID(make_folder(options.directory));
  TRY_VOID(make_folder(options.directory + "/segments"));
  auto state = std::make_unique<State>();
  TRY(state->lock, File::open(options.directory + "/lock", O_RDWR | O_CREAT));
  if (::flock(state->lock.fd(), LOCK_EX | LOCK_NB) != 0) {
    return fail(ErrorKind::Unavailable, "the evidence log " + options.directory + " is in use by another process");
  }
  state->files = options.files ? options.files : std::make_shared<FileOps>();
  TRY_VOID(compare_with_checkpoint(options, *signer));
  TRY(const auto last, signer->last());
  TRY(const auto pruned, read_pruned(options.directory));
  TRY(auto found, recover(options.directory + "/segments", options.origin, last.size(), last.root(), pruned, *state->files));
  if (pruned) TRY_VOID(remove_pruned_segments(options.directory, pruned->first()));
  TRY(auto keys, SessionKeys::open(options.directory, options.origin, *state->files));
  std::optional<Names> names;
  if (options.pseudonyms) {
    TRY(names, Names::open(options.directory, options.origin, *state->files));
  }
  TRY_VOID(sync_folder(options.directory));
  // The folder's own name as well, whoever made it: best effort, for it may lie in one that we may not read.
  (void)sync_folder(options.directory + "/..");
  TRY(auto tiles, TileFiles::open(options.directory));
  if (!tiles.covers(found.read_from)) {
    // Of pruned entries the hashes are gone with the tiles; proofs of kept ones do without.
    CompactRange tree = pruned ? pruned->tree() : CompactRange();
    found.tiles.clear();
    TRY(const auto reader, Reader::open(options.directory));
    TRY_VOID(reader.leaves([&](ByteView leaf) {
      tree.append(leaf_hash(leaf), &found.tiles);
      return true;
    }));
  }
  TRY_VOID(tiles.put(found.tiles));
  state->heads = std::make_unique<HeadSigning>(options, std::move(signer), found.unsigned_range, std::move(tiles));
  state->writer = std::make_unique<Writer>(options, *state->files, clock, std::move(keys), std::move(names), *state->heads, std::move(found));
  TRY_VOID(state->writer->start());
  state->heads->start([writer = state->writer.get()](Entry entry) { return writer->append(std::move(entry)); });
  return std::unique_ptr<Log>(new Log(std::move(state)));
}

void Log::stop() {
  std::call_once(state_->stopped, [this] {
    state_->writer->stop();
    state_->heads->stop();
  });
}

SessionPtr Log::new_session() {
  Digest key;
  random_bytes(key);
  return std::make_shared<SessionRecord>(random_id(), key);
}

void Log::refuse_new(const std::string& why) { state_->writer->refuse_new(why); }

void Log::forget(std::string name) { state_->writer->forget(std::move(name)); }

bool Log::writable() const { return state_->writer->writable(); }

LogStatus Log::status() const {
  LogStatus out;
  state_->writer->status(out);
  const auto heads = state_->heads->status();
  out.signed_size = heads.signed_size;
  out.signed_age_ns = heads.unsigned_age_ns;
  if (out.why_not.empty()) out.why_not = heads.problem;
  return out;
}

Result<std::uint64_t> Log::append_wait(Entry entry) {
  return state_->writer->append(std::move(entry));
}

}  // namespace sallyport::evidence
