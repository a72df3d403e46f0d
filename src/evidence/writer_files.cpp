// The writer's files: frames, new segments, seals, and what happens when the disk says no.
#include <unistd.h>

#include "evidence/writer.h"

namespace sallyport::evidence {

using std::chrono::steady_clock;

/// True when the batch is durable; every op is answered either way.
bool Writer::commit(std::span<OpPtr> ops) {
  std::size_t room = 4096;
  for (const auto& op : ops) {
    room += op->bytes;
    const auto& entry = op->entry;
    if (entry.kind() == Kind::SessionClose && entry.session()) room += entry.session()->open_commands.size() * 128;
  }
  Result<void> done;
  if (offset_ + room > segment_size_ && !fresh_) {
    seal();
    done = open_segment();
  }
  auto& batch = batch_;
  begin(batch);
  frame_.begin(frame_.take());
  for (auto& op : ops) add(batch, *op);
  // A segment is named by its first entry, so its first frame needs one.
  if (fresh_ && frame_.entries() == 0) add_entry(batch, Entry(Kind::Heartbeat));
  if (done && frame_.records() != 0) done = write(batch);
  if (!done) {
    roll_back(batch);
    fail_segment(done.error());
    refuse(ops, Error(ErrorKind::Unavailable, "the evidence could not be written: " + done.error().what));
    return false;
  }
  if (batch.next != next_) last_entry_ = steady_clock::now();
  next_ = batch.next;
  for (const auto& one : batch.added) tree_.append(one.range, &batch.tiles);
  last_mono_ = batch.mono;
  size_ = next_;
  tell(ops);
  heads_.publish(batch.added, batch.tiles);
  return true;
}

Result<void> Writer::write(Batch& batch) {
  if (!batch.new_keys.empty()) TRY_VOID(keys_.store(batch.new_keys, batch.wall));
  if (names_) TRY_VOID(names_->store());
  frame_.close(FrameType::Batch, next_, salt_);
  const auto& bytes = frame_.bytes();
  TRY_VOID(evidence::write_all(ops_, segment_, bytes, offset_, segment_name(segment_number_)));
  TRY_VOID(sync(ops_, segment_, segment_name(segment_number_)));
  offset_ += bytes.size();
  link_ = {segment_number_, offset_, {}};
  digest_due_ = true;
  fresh_ = false;
  segment_entries_ += frame_.entries();
  segment_chunks_ += batch.chunks;
  bytes_.fetch_add(bytes.size(), std::memory_order_relaxed);
  batches_.fetch_add(1, std::memory_order_relaxed);
  // The digest of the last frame is needed at a seal only: hashing each would double the cost of hashing.
  auto spare = std::exchange(last_frame_, frame_.take());
  frame_.begin(std::move(spare));
  return {};
}

Result<void> Writer::open_segment() {
  if (std::exchange(digest_due_, false)) link_.digest = sha256(last_frame_);
  segment_ = File();
  TRY(auto taken, supply_.take(segment_name(next_)));
  segment_ = std::move(taken.file);
  segment_size_ = taken.bytes;
  segment_number_ = next_;
  offset_ = kSegmentHeader;
  segment_entries_ = segment_chunks_ = 0;
  fresh_ = true;
  salt_ = random_id();
  SegmentHeader header;
  header.incarnation = incarnation_;
  header.salt = salt_;
  header.first_index = next_;
  header.previous = link_.number;
  header.previous_length = link_.length;
  header.previous_digest = link_.digest;
  header.created_wall_ns = clock_.wall_ns();
  header.origin = options_.origin;
  // Made durable by the first frame's sync.
  return evidence::write_all(ops_, segment_, encode_header(header), 0, segment_name(segment_number_));
}

/// A footer that cannot be written is no harm: the segment just stays unsealed.
void Writer::seal() {
  Footer footer;
  footer.size = next_;
  footer.range.assign(tree_.hashes().begin(), tree_.hashes().end());
  footer.entries = segment_entries_;
  footer.chunks = segment_chunks_;
  for (const auto& [id, s] : open_) footer.open.push_back({id, s->sequence, s->commands, s->outcomes, s->chunks, s->open_commands});
  FrameBuilder frame;
  frame.begin({});
  encode_footer(footer, frame.payload());
  frame.close(FrameType::Footer, next_, salt_);
  const auto name = segment_name(segment_number_);
  if (!evidence::write_all(ops_, segment_, frame.bytes(), offset_, name) || !sync(ops_, segment_, name)) return;
  offset_ += frame.bytes().size();
  link_ = {segment_number_, offset_, sha256(frame.bytes())};
  digest_due_ = false;
  (void)::ftruncate(segment_.fd(), static_cast<off_t>(offset_));
  heads_.seal();
}

void Writer::fail_segment(const Error& why) {
  failures_.fetch_add(1, std::memory_order_relaxed);
  {
    const std::lock_guard lock(mutex_);
    why_not_ = why.what;
  }
  failed_ = true;
  segment_ = File();
  retry_at_ = steady_clock::now() + std::chrono::milliseconds(500);
}

void Writer::try_again() {
  Entry entry(Kind::Recovery);
  entry.text(Field::Reason, "writing failed (" + why_not_ + "); the log goes on in a fresh segment");
  std::vector<OpPtr> ops;
  ops.push_back(std::make_unique<Op>(std::move(entry)));
  if (auto opened = open_segment(); !opened) return fail_segment(opened.error());
  if (commit(ops)) failed_ = false;
}

void Writer::refuse(std::span<OpPtr> ops, const Error& why) {
  refused_.fetch_add(ops.size(), std::memory_order_relaxed);
  for (auto& op : ops) op->result = std::unexpected(why);
  tell(ops);
}

void Writer::tell(std::span<OpPtr> ops) {
  std::vector<std::shared_ptr<Port::State>> ports;  // shared: the last op may be gone before deliver() returns
  for (auto& op : ops) {
    if (op->waiting != nullptr) op->waiting->set_value(std::move(op->result));
    if (!op->port) continue;
    auto& batch = op->port->batch;
    if (batch.empty()) ports.push_back(op->port);
    batch.push_back(std::move(op));
  }
  for (const auto& port : ports) port->deliver();
}

}  // namespace sallyport::evidence
