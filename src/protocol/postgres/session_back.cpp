// Target to client: answers are matched with what was sent, masked, recorded, and passed on.
#include "base/clock.h"
#include "protocol/postgres/session.h"

namespace sallyport::protocol::postgres {

using boost::asio::awaitable;
using enforce::Outcome;

namespace {

constexpr std::size_t kHigh = 1u << 20, kLow = 256u << 10;   // bytes that wait for the client: above, the target waits
constexpr std::size_t kLong = 256u << 10;                    // longer rows pass as they come when nothing masks them
constexpr std::size_t kNone = std::string::npos;
constexpr std::size_t kMostTags = 4096;

/// The rows of a cursor are those of its query; fetching them has no other effect.
sql::AnalysisPtr fetching(const sql::Analysis& declared) {
  auto out = std::make_shared<sql::Analysis>(declared);
  out->verb = "fetch";
  out->verbs = {"fetch"};
  out->declares.clear();
  if (out->weight < sql::Class::Unknown) out->weight = sql::Class::Read;
  return out;
}

bool is_row_of(const Expected& expected, char type) {
  return expected.command && ((type == 'D' && (expected.kind == 'Q' || expected.kind == 'E')) || type == 'd');
}

}  // namespace

awaitable<void> Session::read_server() {
  const auto self = shared_from_this();
  while (!ended_) {
    if (out_.waiting() > kHigh && !co_await wait_for([&] { return out_.waiting() <= kLow; })) break;
    auto& scratch = shared_.scratch;
    const auto got = wire_->read_now(scratch);
    if (got && !*got) {
      (void)co_await wire_->readable(net::kNever);  // what is wrong shows at the next try
      continue;
    }
    if (!got || **got == 0) {
      if (!ended_ && !leaving_) {
        // Its own last words, if any, are on their way to the client.
        leaving_ = true;
        if (why_.empty()) put_notice(out_.buffer(), 'E', {"FATAL", "08006", "the target closed the connection", "", ""});
        co_await leave(why_.empty() ? "the target closed the connection" : why_);
      }
      break;
    }
    std::string_view bytes(scratch.data(), **got);
    if (!back_.empty()) {
      back_.append(bytes);
      bytes = back_;
    }
    if (!server_messages(bytes)) break;
    if (bytes.empty()) {
      back_.clear();
      if (back_.capacity() > (16u << 10)) back_.shrink_to_fit();
    } else if (back_.empty()) {
      back_.assign(bytes);
    } else {
      back_.erase(0, back_.size() - bytes.size());
    }
    const auto command = current();
    if (command && command->running && shared_.services.gate.has_chunks(*command->running)) {
      // Rows are on disk before they are on the client's screen.
      const auto flushed = co_await shared_.services.gate.flush(*command->running);
      if (!flushed) {
        fatal("58030", "the evidence cannot be written: " + flushed.error().what);
        break;
      }
    }
    pump();
    pump_client();
  }
}

/// Takes whole messages off `bytes`; what is left is the beginning of one.
bool Session::server_messages(std::string_view& bytes) {
  while (!ended_ && !bytes.empty()) {
    if (back_stream_ > 0) {
      const auto piece = bytes.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(back_stream_, bytes.size())));
      back_stream_ -= piece.size();
      if (rows_from_ == kNone) rows_from_ = out_.buffer().size();
      to_client(piece);
      bytes.remove_prefix(piece.size());
      continue;
    }
    const auto head = back_head(bytes);
    if (!head) return lied(head.error().what);
    if (!*head) break;
    const auto size = kHead + (*head)->length;
    if (bytes.size() < size) {
      const bool row = !expected_.empty() && is_row_of(expected_.front(), (*head)->type);
      if (size <= kLong) break;
      if (!row) {
        if (size > server_->max_masked_row) return lied(fmt::format("a message '{}' of {} bytes", (*head)->type, (*head)->length));
        break;
      }
      auto& command = *expected_.front().command;
      hold_for_intent();
      if (!prepare_rows(command)) return false;
      const bool plain = (*head)->type == 'D' ? !command.rows : !command.copy;
      if (plain && !command.over_limit && command.running) {
        if ((*head)->type == 'D' && ++command.row_count > command.limit_rows) {
          limit_error(command);
        }
        command.bytes += size;
        back_stream_ = size;
        continue;
      }
      if (size > server_->max_masked_row) {
        fatal("54000", fmt::format("a row of {} bytes is too long to be masked; the limit is {} (max_masked_row)", (*head)->length, server_->max_masked_row));
        return false;
      }
      break;
    }
    if (!answer(**head, bytes.substr(kHead, (*head)->length), bytes.substr(0, size))) return false;
    bytes.remove_prefix(size);
  }
  record_rows();
  return !ended_;
}

void Session::to_client(std::string_view whole) {
  if (!swallowing_) out_.append(whole);
}

/// What of the current command's answer has been put into out_ is recorded as the client gets it.
void Session::record_rows() {
  if (rows_from_ == kNone) return;
  const auto from = std::exchange(rows_from_, kNone);
  const auto command = current();
  if (!command || !command->running) return;
  shared_.services.gate.observe_bytes(*command->running, std::string_view(out_.buffer()).substr(from));
}

/// In overlapped mode the first byte of an answer waits until the command's entry is durable.
void Session::hold_for_intent() {
  if (expected_.empty() || !expected_.front().command || !expected_.front().command->intent_waits) return;
  auto& command = *expected_.front().command;
  command.intent_waits = false;
  if (!command.intent->open) out_.close_gate(command.intent);
}

bool Session::answer(Head head, std::string_view body, std::string_view whole) {
  hold_for_intent();
  switch (head.type) {
    case 'D': {
      const auto command = current();
      if (!command || (expected_.front().kind != 'Q' && expected_.front().kind != 'E')) return lied("a row that nobody asked for");
      return row(*command, body, whole);
    }
    case 'T': case 't': case 'n': return describe_answer(head, body, whole);
    case 'C': case 'I': case 's': return completed(head, body, whole);
    case 'E': return error(body, whole);
    case 'Z': return ready(body, whole);
    case 'G': case 'H': case 'W': case 'd': case 'c': return copy_answer(head, body, whole);
    case 'S': parameter(body, whole); return true;
    case 'N': notice(body, whole); return true;
    case 'A': to_client(whole); return true;
    case '1': {
      if (expected_.empty() || expected_.front().kind != 'P') return lied("ParseComplete that nobody waits for");
      auto expected = std::move(expected_.front());
      expected_.pop_front();
      const auto& name = expected.command->name;
      if (const auto at = defining_.find(name); at != defining_.end() && at->second.prepared == expected.prepared) defining_.erase(at);
      prepared_[name] = expected.prepared;
      // Its Bind, when it came with one, is the command; alone it is done.
      if (std::get<enforce::Statement>(expected.command->action).how == "prepare") finish(expected.command, Outcome::Ok);
      to_client(whole);
      return true;
    }
    case '2': case '3':
      if (expected_.empty() || expected_.front().kind != (head.type == '2' ? 'B' : 'C')) return lied("BindComplete or CloseComplete that nobody waits for");
      if (!expected_.front().internal) to_client(whole);
      if (head.type == '2')
        if (const auto portal = portal_of(*expected_.front().command)) portal->before = nullptr;
      expected_.pop_front();
      return true;
    case 'V': {
      const auto command = current();
      if (!command || expected_.front().kind != 'F') return lied("FunctionCallResponse that nobody waits for");
      if (rows_from_ == kNone) rows_from_ = out_.buffer().size();
      command->bytes += whole.size();
      to_client(whole);
      record_rows();
      return true;
    }
    default: return lied(fmt::format("a message '{}' in the middle of a session", head.type));
  }
}

/// Makes the row mask of a result once, before its first row. False when the session had to end.
bool Session::prepare_rows(Command& command) {
  if (command.described || !command.running) return true;
  command.described = true;
  if (command.simple) return true;
  if (command.prepared && command.prepared->fields && !command.prepared->fields->empty() && !command.formats_unknown) {
    // The record shows what the columns are, whether or not the client asked again.
    auto& prepared = *command.prepared;
    if (prepared.description.empty() || prepared.described_formats != command.formats) {
      prepared.description.clear();
      put_row_description(prepared.description, *prepared.fields, command.formats);
      prepared.described_formats = command.formats;
    }
    shared_.services.gate.observe_bytes(*command.running, prepared.description);
  }
  if (!command.masking || command.masking->none()) return true;
  if (!command.prepared || !command.prepared->fields || (command.formats_unknown && !command.prepared->fields->empty()))
    return lied("rows without a description, which cannot be masked");
  command.rows = RowMask::make(command.masking, schema_, *command.prepared->fields, command.formats.empty() ? std::vector<std::int16_t>{0} : command.formats);
  return true;
}

bool Session::row(Command& command, std::string_view body, std::string_view whole) {
  if (!command.running) return lied("rows of a statement that was denied");
  if (!prepare_rows(command)) return false;
  if (command.over_limit) return true;
  if (++command.row_count > command.limit_rows) {
    --command.row_count;
    limit_error(command);
    return true;
  }
  auto& out = out_.buffer();
  if (rows_from_ == kNone) rows_from_ = out.size();
  const auto before = out.size();
  if (command.rows && !swallowing_) {
    const auto masked = command.rows->apply(body, shared_.services.gate.counts(*command.running), out);
    if (!masked) {
      out.resize(before);
      return lied(masked.error().what);
    }
    if (!*masked) out.append(whole);
  } else {
    to_client(whole);
  }
  command.bytes += out.size() - before;
  return true;
}

/// The result has more rows than the policy lets pass: the statement is cancelled, and what it answers becomes our error.
void Session::limit_error(Command& command) {
  command.over_limit = true;
  command.error = fmt::format("the result has more than the {} rows that the policy allows", command.limit_rows);
  command.sqlstate = "54000";
  cancel();
}

bool Session::describe_answer(Head head, std::string_view body, std::string_view whole) {
  if (expected_.empty()) return lied("a description that nobody asked for");
  auto& expected = expected_.front();
  if (expected.kind == 'Q' && head.type == 'T') {
    auto& command = *expected.command;
    if (!command.running) return lied("a result of a statement that was denied");
    const auto fields = read_row_description(body);
    if (!fields) return lied(fields.error().what);
    command.described = true;
    command.rows = RowMask::make(command.masking, schema_, *fields, {});
    if (rows_from_ == kNone) rows_from_ = out_.buffer().size();
    command.bytes += whole.size();
    if (!command.over_limit) to_client(whole);
    return true;
  }
  if (expected.kind != 'D' && expected.kind != 'd') return lied("a description that nobody asked for");
  if (head.type == 't') {
    if (expected.kind != 'D') return lied("parameters of a portal");
    if (expected.prepared) {
      Cursor cursor(body);
      const auto count = static_cast<std::uint16_t>(cursor.i16());
      std::vector<std::uint32_t> types;
      for (unsigned i = 0; i < count && cursor.ok(); ++i) types.push_back(cursor.u32());
      if (!cursor.done()) return lied("a ParameterDescription of another length");
      expected.prepared->types = std::move(types);
    }
    to_client(whole);
    return true;
  }
  if (expected.prepared) {
    auto fields = head.type == 'T' ? read_row_description(body) : Result<std::vector<Field>>(std::vector<Field>{});
    if (!fields) return lied(fields.error().what);
    expected.prepared->fields = std::move(*fields);
    expected.prepared->description.clear();
    expected.prepared->asked = false;
  }
  if (!expected.internal) to_client(whole);
  expected_.pop_front();
  return true;
}

void Session::succeeded(Command& command, std::string_view tag) {
  const auto& analysis = *command.analysis;
  if (analysis.defines) {
    shared_.catalogs.changed();
    ddl_ = true;
    unsettled_ = unsettled_ || analysis.unsettles;
  }
  if (!analysis.prepares.empty()) {
    auto prepared = std::make_shared<Prepared>();
    prepared->text = command.text;
    prepared->effects = std::get<enforce::Statement>(command.action).effects;
    prepared_[analysis.prepares] = std::move(prepared);
  }
  if (!analysis.declares.empty()) cursors_[analysis.declares] = shared_.effects(fetching(analysis), schema_);
  if (tag == "DISCARD ALL" || tag == "DEALLOCATE ALL") {
    prepared_.clear();
    cursors_.clear();
  }
}

bool Session::completed(Head head, std::string_view body, std::string_view whole) {
  if (expected_.empty() || !expected_.front().command) return lied("the end of a statement that nobody sent");
  const auto expected = expected_.front();
  auto& command = *expected.command;
  if (expected.kind != 'Q' && expected.kind != 'E') return lied("the end of a statement that nobody sent");
  if (!command.running && !command.over) return lied("the result of a statement that was denied");
  if (head.type == 'C') {
    Cursor cursor(body);
    const auto tag = cursor.text();
    if (!cursor.done()) return lied("a malformed CommandComplete");
    // Of a text of several statements: what each did, in their order.
    if (command.tag.size() < kMostTags) command.tag += (command.tag.empty() ? "" : "; ") + std::string(tag);
    if (command.row_count == 0) command.row_count = rows_of_tag(tag);
    succeeded(command, tag);
  } else if (head.type == 's' && expected.kind != 'E') {
    return lied("PortalSuspended in a simple query");
  }
  if (copy_in_ == expected.command) copy_in_ = nullptr;
  command.bytes += whole.size();
  if (expected.kind == 'Q') {
    command.described = false;
    command.rows.reset();
    command.copy.reset();
    if (command.over_limit) return true;
    if (rows_from_ == kNone) rows_from_ = out_.buffer().size();
    to_client(whole);
    return true;
  }
  const bool over = command.over_limit;
  if (command.running) {
    if (!over) {
      // The tag is part of the record, behind the rows.
      record_rows();
      shared_.services.gate.observe_bytes(*command.running, whole);
    }
    finish(expected.command, over ? Outcome::Error : Outcome::Ok);
  }
  if (over) {
    put_notice(out_.buffer(), 'E', {"ERROR", "54000", command.error, "", "narrow the query, or ask for a rule with more rows"});
    swallowing_ = true;
  } else {
    to_client(whole);
  }
  expected_.pop_front();
  return true;
}

bool Session::ready(std::string_view body, std::string_view whole) {
  if (body.size() != 1 || (body[0] != 'I' && body[0] != 'T' && body[0] != 'E')) return lied("a malformed ReadyForQuery");
  if (expected_.empty() || (expected_.front().kind != 'Q' && expected_.front().kind != 'F' && expected_.front().kind != 'S')) return lied("ReadyForQuery that nobody waits for");
  const auto expected = expected_.front();
  status_ = body[0];
  ++readies_;
  if (const auto& command = expected.command) {
    const bool over = command->over_limit && !command->failed;
    if (over) {
      put_notice(out_.buffer(), 'E', {"ERROR", "54000", command->error, "", "narrow the query, or ask for a rule with more rows"});
    }
    finish(command, command->failed || over ? Outcome::Error : Outcome::Ok);
  }
  if (const bool block = status_ != 'I'; block != std::exchange(in_block_, block)) transactions_ += block;
  expected_.pop_front();
  if (status_ == 'I') {
    if (std::exchange(ddl_, false)) shared_.catalogs.changed();
    unsettled_ = false;
    std::erase_if(portals_, [&](auto& portal) {
      if (portal.second->sync >= readies_) {
        if (portal.second->before && portal.second->before->sync < readies_) portal.second->before = nullptr;
        return false;
      }
      give_up(*portal.second);
      return true;
    });
  }
  swallowing_ = false;
  out_.append(whole);
  if (stopping_ && idle()) fatal("57P01", "terminating connection: the gateway stops");
  if (waiters_ > 0) notify();
  return !ended_;
}

bool Session::copy_answer(Head head, std::string_view body, std::string_view whole) {
  const auto command = current();
  if (!command || !command->running || (expected_.front().kind != 'Q' && expected_.front().kind != 'E')) return lied("COPY that nobody asked for");
  if (head.type == 'W') return lied("COPY in both directions");
  if (head.type == 'G' || head.type == 'H') {
    const auto start = read_copy_start(body);
    if (!start) return lied(start.error().what);
    if (head.type == 'G') {
      copy_in_ = command;
      // A Sync or Flush that the client sent behind its Execute is read, and ignored, as part of the COPY.
      auto at = expected_.begin() + 1;
      while (at != expected_.end() && at->kind == 'S') at = expected_.erase(at);
      notify();
    } else {
      auto masks = CopyMask::make(command->masking, *command->analysis, schema_);
      if (!masks) {
        fatal("42501", masks.error().what);
        return false;
      }
      command->copy = std::move(*masks);
    }
  }
  if (rows_from_ == kNone) rows_from_ = out_.buffer().size();
  const auto before = out_.buffer().size();
  bool masked = false;
  if (head.type == 'd' && command->over_limit) return true;
  if (head.type == 'd' && command->copy) {
    auto applied = command->copy->apply(body, shared_.services.gate.counts(*command->running), out_.buffer());
    if (!applied) return lied(applied.error().what);
    masked = *applied;
  }
  if (head.type == 'd' && ++command->row_count > command->limit_rows) {
    out_.buffer().resize(before);
    limit_error(*command);
    return true;
  }
  if (!masked) to_client(whole);
  command->bytes += out_.buffer().size() - before;
  return true;
}

void Session::parameter(std::string_view body, std::string_view whole) {
  Cursor cursor(body);
  const auto name = cursor.text(), value = cursor.text();
  if (name == "standard_conforming_strings") plain_strings_ = value == "on";
  if (name == "client_encoding") utf8_ = value == "UTF8" || value == "SQL_ASCII";
  to_client(whole);
}

}  // namespace sallyport::protocol::postgres
