// Judging: from a text to a command, its verdict, and the queue of messages that wait for permits.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "base/clock.h"
#include "protocol/postgres/session.h"
#include "protocol/postgres/substitute.h"

namespace sallyport::protocol::postgres {

using boost::asio::awaitable;
using enforce::Outcome;

namespace {

sql::AnalysisPtr unknown_analysis(std::string verb) {
  auto out = std::make_shared<sql::Analysis>();
  out->verb = verb;
  out->verbs = {std::move(verb)};
  out->weight = sql::Class::Unknown;
  out->statements = 1;
  return out;
}

bool has_non_ascii(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
}

}  // namespace

PreparedPtr Session::prepared(std::string_view name) const {
  const std::string key(name);
  if (const auto at = defining_.find(key); at != defining_.end()) return at->second.prepared;
  const auto at = prepared_.find(key);
  return at == prepared_.end() ? nullptr : at->second;
}

enforce::SqlEffectsPtr Session::resolve(const sql::AnalysisPtr& analysis, Command& command) {
  auto& problem = command.problem;
  const bool names = !analysis->executes.empty() || !analysis->fetches.empty() || !analysis->prepares.empty() || !analysis->declares.empty();
  if (names && analysis->statements > 1) {
    problem = "a text of several statements that prepares, executes, declares or fetches by name cannot be judged: send them one by one";
  } else if (!analysis->executes.empty()) {
    if (const auto found = prepared(analysis->executes)) return found->effects;
    problem = "prepared statement \"" + analysis->executes + "\" was not prepared in this session";
    command.missing = analysis->executes;
  } else if (!analysis->fetches.empty()) {
    if (const auto at = cursors_.find(analysis->fetches); at != cursors_.end()) return at->second;
    if (const auto at = portals_.find(analysis->fetches); at != portals_.end() && at->second->prepared) return at->second->prepared->effects;
    problem = "cursor \"" + analysis->fetches + "\" was not declared in this session";
    command.missing = analysis->fetches;
  }
  return shared_.effects(analysis, schema_);
}

void Session::understand(Command& command) {
  auto& statement = std::get<enforce::Statement>(command.action);
  sql::AnalysisPtr analysis;
  if (command.text.size() > server_->max_statement) {
    command.problem = fmt::format("the statement has {} bytes, and more than {} are not judged (max_statement)", command.text.size(), server_->max_statement);
  } else if (!plain_strings_ && command.text.find('\\') != std::string::npos) {
    command.problem = "standard_conforming_strings is off, so a text with a backslash may mean something else to the server than to the gateway";
  } else if (!utf8_ && has_non_ascii(command.text)) {
    command.problem = "client_encoding is not UTF8, so a text beyond ASCII may mean something else to the server than to the gateway";
  } else if (auto found = shared_.shapes.find(command.text)) {
    analysis = std::move(*found);
  } else {
    command.not_grammar = found.error().kind == ErrorKind::Malformed;
    command.problem = (command.not_grammar ? "it cannot be parsed: " : "") + found.error().what;
  }
  if (!analysis) analysis = unknown_analysis("unparsed");
  if (!schema_ && command.problem.empty() && !analysis->control) command.problem = "the target's catalog cannot be read, so it is not known what the names mean";
  statement.effects = command.problem.empty() ? resolve(analysis, command) : shared_.effects(analysis, schema_);
  const auto& own = *analysis;
  command.begins = own.begins;
  command.barrier = own.defines || !own.prepares.empty() || !own.declares.empty() || own.weight == sql::Class::Unknown ||
                    !std::ranges::all_of(own.settings, sql::is_harmless_setting);
  command.analysis = std::move(analysis);
  if (unsettled_) command.unsure = "names were changed in this transaction, so where masked columns are is known again only after its end";
  // What an open transaction has made is not in the catalog yet, and holds no masked value that was not denied on its way.
  if (command.unsure.empty() && schema_ && !ddl_ && barriers_ == 0)
    if (const auto name = sql::unknown_relation(*command.analysis, *schema_); !name.empty()) {
      command.unsure = "relation \"" + name + "\" is not in the catalog as it was last read, so it is not known what it shows; if it is new, run the statement again";
      shared_.catalogs.doubted();
    }
  statement.problem = command.problem;
  statement.unsure = command.unsure;
  statement.text = command.text;
  statement.parameters = &command.parameters;
  statement.in_transaction = in_transaction();
  statement.database = database_;
}

CommandPtr Session::command(std::string text, std::string_view how) {
  auto out = std::make_shared<Command>();
  out->text = std::move(text);
  out->action = enforce::Statement{};
  std::get<enforce::Statement>(out->action).how = how;
  understand(*out);
  return out;
}

/// The command is on its way to be run: what follows may have to wait for it.
void Session::count(Command& command) {
  if (command.over || std::exchange(command.counted, true)) return;
  barriers_ += command.barrier;
  begins_ += command.begins;
}

void Session::submit(CommandPtr command, std::string bytes, std::function<std::string(const std::string&)> substitute, std::vector<Expected> expects) {
  Outgoing outgoing;
  outgoing.command = command;
  outgoing.judged = false;
  outgoing.waits = true;
  outgoing.expects = std::move(expects);
  outgoing_.push_back(std::move(outgoing));
  const std::weak_ptr<Session> weak = weak_from_this();
  command->hold.gone = [weak] {
    const auto self = weak.lock();
    return !self || self->ended_ || self->client_.peer_gone();
  };
  command->hold.notify = [weak](const enforce::Approval& approval, std::int64_t held_ns) -> awaitable<void> {
    const auto self = weak.lock();
    if (!self || self->ended_) co_return;
    if (held_ns < 1'000'000'000 && !self->expected_.empty()) {
      // Answers to what went before must not wait for the hold: the server gives them on a Flush.
      std::string flush;
      put_message(flush, 'H', "");
      (void)self->wire_->queue_control(self->permit_, flush);
      (void)self->wire_->flush();
    }
    put_notice(self->notices_, 'N', {"NOTICE", "01000", fmt::format("held for approval by {}: request {}", approval.approvers(), approval.id),
                                     fmt::format("waiting for {} s; the request is open until {}", held_ns / 1'000'000'000, utc_text(approval.expires_wall_ns)),
                                     fmt::format("sallyport approve {}", approval.id)});
    self->pump_client();
  };
  enforce::Message message;
  message.bytes = std::move(bytes);
  message.substitute = std::move(substitute);
  if (server_->overlapped) {
    message.overlapped = [self = shared_from_this(), gate = std::weak_ptr<ClientOut::Gate>(command->intent = std::make_shared<ClientOut::Gate>())](Result<void> durable) {
      const auto waiting = gate.lock();
      if (!waiting || self->ended_) return;
      waiting->open = durable.has_value();
      if (!durable) return self->fatal("58030", "the evidence cannot be written, so the answer is withheld: " + durable.error().what);
      self->pump_client();
    };
  }
  // The session outlives its commands: run() ends only when they have, and a verdict that comes later finds `ended_`.
  shared_.services.gate.submit(record_, command->action, std::move(message), &command->hold,
                               [self = shared_from_this(), command](enforce::Verdict verdict) { self->on_verdict(command, std::move(verdict)); });
}

void Session::on_verdict(const CommandPtr& command, enforce::Verdict verdict) {
  if (ended_) return;  // what was allowed is recorded as interrupted
  const auto at = std::ranges::find_if(outgoing_, [&](const Outgoing& one) { return one.command == command && !one.judged; });
  if (at == outgoing_.end()) return;
  at->judged = true;
  if (auto* allowed = std::get_if<enforce::Allowed>(&verdict)) {
    at->permit.emplace(std::move(allowed->permit));
    command->running.emplace(std::move(allowed->running));
    command->limit_rows = shared_.services.gate.limits(*command->running).rows;
    command->masking = shared_.services.gate.sql_masking(*command->running);
    if (!shared_.services.gate.runs_ahead(*command->running)) command->intent = nullptr;
    command->intent_waits = command->intent && !command->intent->open;
  } else {
    command->denial.emplace(std::move(std::get<enforce::Denial>(verdict)));
    if (command->denial->substitute) at->permit.emplace(std::move(*command->denial->substitute));
    command->denial->substitute.reset();
  }
  pump();
}

/// Everything at the head of the queue that may go, in order.
void Session::pump() {
  while (!ended_ && !leaving_ && cancelling_ == 0 && !outgoing_.empty() && outgoing_.front().judged) {
    auto& outgoing = outgoing_.front();
    if (outgoing.sync) skipping_ = false;
    if (skipping_) {
      drop_outgoing(outgoing);
      outgoing_.pop_front();
      continue;
    }
    if (outgoing.command && outgoing.waits && !outgoing.permit) {
      if (!without_evidence(outgoing)) return;
      continue;
    }
    // Rows that a rule may mask must have a description; where the client does not ask for one, the gateway does.
    const auto& command = outgoing.command;
    if (!outgoing.expects.empty() && outgoing.expects.back().kind == 'E' && command && command->running && command->masking && !command->masking->none() &&
        command->prepared && !command->prepared->fields && !command->prepared->asked) {
      std::string describe;
      put_message(describe, 'D', "P" + command->portal + '\0');
      command->prepared->asked = true;
      (void)wire_->queue_control(permit_, describe);
      expected_.push_back({'d', command, command->prepared, true});
    }
    auto queued = outgoing.permit ? wire_->queue(std::move(*outgoing.permit)) : wire_->queue_control(permit_, outgoing.control);
    if (!queued) return fatal("XX000", queued.error().what);
    for (auto& expected : outgoing.expects) expected_.push_back(std::move(expected));
    outgoing_.pop_front();
  }
  pump_server();
}

void Session::pump_server() {
  if (ended_ || writing_server_ || target_deaf_) return;
  const auto empty = wire_->flush();
  target_deaf_ = !empty;  // what it said last is read before the session ends (read_server())
  if (empty && !*empty) {
    writing_server_ = true;
    boost::asio::co_spawn(shared_.services.context, write_server(), boost::asio::detached);
  }
  if (waiters_ > 0) notify();
}

/// A message that the server would skip: it is not sent, and what was allowed of it has not run.
void Session::drop_outgoing(Outgoing& outgoing) {
  for (const auto& expected : outgoing.expects) forget(expected);
  if (!outgoing.command || outgoing.command->over) return;
  outgoing.command->error = "skipped after an error before it";
  finish(outgoing.command, Outcome::Cancelled);
}

/// Nothing may reach the target without an entry, not even a refusal. When nothing else is under way the gateway can answer
/// by itself; otherwise the session ends, for only the target could keep it in step.
bool Session::without_evidence(Outgoing& outgoing) {
  const auto& denial = *outgoing.command->denial;
  if (!outgoing.command->simple || !expected_.empty()) {
    fatal("58030", denial.reason, "nothing runs without its record; the connection is closed so that an open transaction is rolled back");
    return false;
  }
  put_notice(out_.buffer(), 'E', {"ERROR", "58030", denial.reason, "request " + denial.request_id, "nothing runs without its record"});
  put_message(out_.buffer(), 'Z', std::string_view(&status_, 1));
  ++readies_;
  finish(outgoing.command, Outcome::Failed);
  outgoing_.pop_front();
  pump_client();
  return true;
}

/// The transaction block that the command ran in, counted in this session from 1; 0 for none. It is told by what begins and ends
/// one, for in a pipeline the server tells the state only at its end (ready() then knows better).
std::uint64_t Session::transaction_of(const Command& command, Outcome outcome) {
  const bool did = outcome == Outcome::Ok && command.analysis && std::get<enforce::Statement>(command.action).how != "prepare";
  if (did && command.analysis->begins && !in_block_) {
    in_block_ = true;
    ++transactions_;
  }
  const auto number = in_block_ ? transactions_ : 0;
  if (did && command.analysis->ends) {
    in_block_ = command.analysis->begins && status_ != 'I';  // AND CHAIN
    transactions_ += in_block_;
  }
  return number;
}

/// The command has its answer, or will have none: its outcome is recorded, and what the client gets from here on waits for it.
void Session::finish(const CommandPtr& command, Outcome outcome) {
  if (std::exchange(command->over, true)) return;
  if (command->counted) {
    barriers_ -= command->barrier;
    begins_ -= command->begins;
  }
  if (command->running) {
    record_rows();
    enforce::Reply reply;
    reply.result = outcome;
    reply.error = command->error;
    reply.items = command->row_count;
    reply.bytes = command->bytes;
    if (!command->sqlstate.empty()) reply.facts["sqlstate"] = command->sqlstate;
    if (!command->tag.empty()) reply.facts["tag"] = command->tag;
    if (const auto number = transaction_of(*command, outcome); number != 0) reply.facts["transaction"] = std::to_string(number);
    if (command->copied_in != 0) reply.facts["copied_in_bytes"] = std::to_string(command->copied_in);
    const auto gate = ended_ ? nullptr : out_.close_gate();
    shared_.services.gate.finish(std::move(*command->running), std::move(reply), [self = shared_from_this(), gate](Result<void> written) {
      if (!gate) return;
      gate->open = written.has_value();
      if (!written) return self->fatal("58030", "the evidence cannot be written, so the answer is withheld: " + written.error().what);
      self->pump_client();
    });
    command->running.reset();
  }
  if (waiters_ > 0) notify();
}

}  // namespace sallyport::protocol::postgres
