// One batch of the writer: places, sequences and totals for its entries, their bytes, and the way back.
#include <ranges>

#include "evidence/cbor.h"
#include "evidence/writer.h"

namespace sallyport::evidence {

void Writer::begin(Batch& batch) {
  ++batch_number_;
  batch.next = next_;
  batch.chunks = 0;
  batch.added.clear();
  batch.tiles.clear();
  batch.undo.clear();
  batch.opened.clear();
  batch.places.clear();
  batch.new_keys.clear();
  batch.added.push_back({CompactRange(next_), {}});
  batch.wall = clock_.wall_ns();
  batch.mono = std::max(last_mono_, clock_.mono_ns());
}

void Writer::touch(Batch& batch, const SessionPtr& session) {
  if (session->touched == batch_number_) return;
  session->touched = batch_number_;
  const auto& s = *session;
  batch.undo.push_back({&session, s.sequence, s.commands, s.outcomes, s.chunks, s.key_stored, s.closed});
  if (!std::exchange(session->listed, true)) open_.try_emplace(s.id(), session);
  if (!s.key_stored) {
    batch.new_keys.push_back(session);
    session->key_stored = true;
  }
}

void Writer::roll_back(Batch& batch) {
  for (auto* place : batch.places) *place = UINT64_MAX;
  for (const auto& one : std::views::reverse(batch.opened)) {
    auto& open = one.session->open_commands;
    if (one.ended) open.insert(std::ranges::lower_bound(open, one.command), one.command);
    else open.pop_back();  // the last one, for what came after it is taken back already
  }
  for (const auto& old : batch.undo) {
    auto& s = **old.session;
    s.sequence = old.sequence;
    s.commands = old.commands;
    s.outcomes = old.outcomes;
    s.chunks = old.chunks;
    s.key_stored = old.key_stored;
    s.closed = old.closed;
    s.listed = !s.closed && (s.sequence != 0 || s.chunks != 0);
    if (s.listed) open_.insert_or_assign(s.id(), *old.session);
    else open_.erase(s.id());
  }
}

namespace {

Entry interrupted(const SessionPtr& session, std::uint64_t command) {
  Entry entry(Kind::Outcome, session);
  entry.uint(Field::Result, static_cast<std::uint64_t>(Outcome::Interrupted)).uint(Field::CommandIndex, command);
  return entry;
}

}  // namespace

void Writer::add(Batch& batch, Op& op) {
  const auto& session = op.entry.session();
  const auto refuse = [&](const char* why) { op.result = fail(ErrorKind::Internal, why); };
  if (op.entry.kind() == Kind::SessionClose && !session) return refuse("a session's close needs its session");
  if (session) {
    if (session->closed) return refuse("the session's evidence is closed already");
    if (op.entry.kind() == Kind::Outcome && !op.chunks_only &&
        !std::ranges::binary_search(session->open_commands, op.entry.command_index())) {
      return refuse("an outcome needs a command that has none yet");
    }
    touch(batch, session);
    for (const auto& chunk : op.entry.chunks()) frame_.chunk(session->id(), chunk);
    session->chunks += op.entry.chunks().size();
    batch.chunks += op.entry.chunks().size();
  }
  if (!op.chunks_only) {
    // A close ends what still runs, so that every allowed command has its outcome in every closed session.
    if (op.entry.kind() == Kind::SessionClose) {
      for (const auto command : std::vector(session->open_commands)) add_entry(batch, interrupted(session, command));
    }
    add_entry(batch, op.entry);
  }
  op.result = op.chunks_only ? batch.next : batch.next - 1;
}

/// Part of an entry's body, with pseudonyms for the people in it.
void Writer::put_body(Bytes& out, const Entry& entry, std::size_t from, std::size_t to) {
  const auto copy = [&](std::size_t end) {
    out.insert(out.end(), entry.body().begin() + static_cast<std::ptrdiff_t>(from), entry.body().begin() + static_cast<std::ptrdiff_t>(end));
    from = end;
  };
  if (names_) {
    for (const auto& person : entry.people()) {
      if (person.at < from || person.at >= to) continue;
      copy(person.at);
      cbor::put_text(out, names_->pseudonym(as_text(ByteView(entry.body()).subspan(person.name, person.end - person.name))));
      from = person.end;
    }
  }
  copy(to);
}

void Writer::add_entry(Batch& batch, const Entry& entry) {
  auto* const session = entry.session().get();
  const bool close = entry.kind() == Kind::SessionClose, placed = entry.command_is_placed();
  std::array<std::uint8_t, 96> head;  // what the writer knows: 85 bytes at most
  auto* at = head.data();
  const auto key = [&at](std::uint8_t number) { *at++ = number; };
  const auto uint = [&at](std::uint64_t n) { at = cbor::write_head(at, 0, n); };
  const auto id = [&at](const Id16& bytes) {
    at = cbor::write_head(at, 2, bytes.size());
    at = std::ranges::copy(bytes, at).out;
  };
  key(entry.veiled().empty() ? 1 : 2);  // the format's version
  at = cbor::write_head(at, 5, 5U + (session != nullptr ? 2U : 0U) + (close ? 1U : 0U) + (placed ? 1U : 0U) + entry.body_fields());
  key(1), uint(batch.next);
  key(2), uint(static_cast<std::uint64_t>(std::max<std::int64_t>(batch.wall, 0)));
  key(3), uint(static_cast<std::uint64_t>(std::max<std::int64_t>(batch.mono, 0)));
  key(4), id(incarnation_);
  if (session != nullptr) {
    key(5), id(session->id());
    key(6), uint(session->sequence++);
    if (entry.kind() == Kind::Command) {
      if (entry.place()) {
        *entry.place() = batch.next;
        batch.places.push_back(entry.place().get());
      }
      ++session->commands;
      if (entry.allowed()) {
        session->open_commands.push_back(batch.next);
        batch.opened.push_back({session, batch.next, false});
      }
    } else if (entry.kind() == Kind::Outcome) {
      ++session->outcomes;
      if (std::erase(session->open_commands, entry.command_index()) != 0) batch.opened.push_back({session, entry.command_index(), true});
    }
  }
  key(7), uint(static_cast<std::uint64_t>(entry.kind()));
  auto& out = frame_.payload();
  const auto record = out.size();
  frame_.entry(0);
  const auto start = out.size();
  out.insert(out.end(), head.data(), at);
  const auto& body = entry.body();
  const auto before = close || placed ? entry.totals_at() : body.size();
  put_body(out, entry, 0, before);
  if (close) {
    cbor::put_uint(out, static_cast<std::uint64_t>(Field::Totals));
    cbor::put_array(out, 4);
    for (const auto n : {session->sequence, session->commands, session->outcomes, session->chunks}) cbor::put_uint(out, n);
    session->closed = true;
    session->listed = false;
    open_.erase(session->id());
  }
  if (placed) {
    cbor::put_uint(out, static_cast<std::uint64_t>(Field::CommandIndex));
    cbor::put_uint(out, entry.command_index());
  }
  if (before != body.size()) put_body(out, entry, before, body.size());
  const auto size = static_cast<std::uint32_t>(out.size() - start);
  std::memcpy(&out[record + 1], &size, sizeof size);
  const auto leaf = ByteView(out).subspan(start);
  // An announcement is put to the notary as it is, alone: what stands before and after it are ranges of their own.
  if (entry.kind() == Kind::KeyEpoch) batch.added.push_back({CompactRange(batch.next), Bytes(leaf.begin(), leaf.end())});
  batch.added.back().range.append(leaf_hash(leaf), &batch.tiles);
  if (entry.kind() == Kind::KeyEpoch) batch.added.push_back({CompactRange(batch.next + 1), {}});
  ++batch.next;
  if (!entry.veiled().empty()) frame_.veiled(entry.veiled());
}

void Writer::close_open_sessions(std::vector<OpPtr>& ops) {
  for (const auto& [id, session] : open_) {
    Entry entry(Kind::SessionClose, session);
    entry.text(Field::Reason, "interrupted");
    ops.push_back(std::make_unique<Op>(std::move(entry)));
  }
}

std::vector<OpPtr> Writer::first_entries() {
  std::vector<OpPtr> ops;
  const auto signed_size = found_.unsigned_range.begin();
  if (found_.any && !found_.clean) {
    Entry entry(Kind::Recovery);
    entry.text(Field::Reason, "the node ended without node.stop").uint(Field::Discarded, found_.discarded);
    if (found_.discarded != 0) entry.bytes(Field::DiscardedDigest, found_.discarded_digest);
    entry.uint(Field::SignedSize, signed_size).bytes(Field::Incarnation, found_.incarnation);
    ops.push_back(std::make_unique<Op>(std::move(entry)));
  }
  Entry start(Kind::NodeStart);
  start.text(Field::Name, options_.version);
  start.uint(Field::SignedSize, signed_size);
  if (found_.any) start.bytes(Field::Incarnation, found_.incarnation);
  ops.push_back(std::make_unique<Op>(std::move(start)));
  close_open_sessions(ops);
  return ops;
}

}  // namespace sallyport::evidence
