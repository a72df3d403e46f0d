// Client to target: messages are taken in order, judged, and queued.
#include <openssl/evp.h>

#include "base/clock.h"
#include "protocol/postgres/session.h"
#include "protocol/postgres/substitute.h"

namespace sallyport::protocol::postgres {

using boost::asio::awaitable;

namespace {

constexpr std::size_t kLong = 1u << 20;            // longer messages pass piece by piece, where they may
constexpr std::size_t kMostQueued = 4096;          // messages of a pipeline that wait for permits or answers
constexpr std::size_t kMostBytes = 4u << 20;       // and bytes that wait for the target to take them
constexpr std::size_t kKeep = 16u << 10;
constexpr std::size_t kMostPrepared = 20'000;
constexpr std::size_t kMostParameter = 4096;       // of a parameter, for people and policy
constexpr std::int64_t kLookAtCatalog = 60'000'000'000;

/// A parameter as text: what policy compares and people read.
std::string parameter_text(std::optional<std::string_view> value, std::int16_t format, std::uint32_t type) {
  if (!value) return "NULL";
  if (format == 1) {
    Cursor cursor(*value);
    switch (type) {
      case 16: if (value->size() == 1) return (*value)[0] ? "true" : "false"; break;
      case 21: if (value->size() == 2) return std::to_string(cursor.i16()); break;
      case 23: if (value->size() == 4) return std::to_string(cursor.i32()); break;
      case 26: if (value->size() == 4) return std::to_string(cursor.u32()); break;
      case 20:
        if (value->size() == 8) {
          const std::uint64_t high = cursor.u32();
          return std::to_string(static_cast<std::int64_t>(high << 32 | cursor.u32()));
        }
        break;
      case 25: case 1043: case 1042: case 19: case 114: return parameter_text(value, 0, type);
      default: break;
    }
    if (value->size() > kMostParameter / 2) return fmt::format("({} bytes, sha256:{})", value->size(), hex(sha256(as_bytes(*value))));
    return "\\x" + hex(as_bytes(*value));
  }
  if (value->size() > kMostParameter) return fmt::format("({} bytes, sha256:{})", value->size(), hex(sha256(as_bytes(*value))));
  return std::string(*value);
}

}  // namespace

awaitable<void> Session::read_client() {
  const auto self = shared_from_this();
  while (!ended_ && !terminated_) {
    if (!co_await more()) break;
    if (!co_await take_messages()) break;
    if (front_at_ == front_.size()) {
      front_.clear();
      front_at_ = 0;
      if (front_.capacity() > kKeep) front_.shrink_to_fit();
    } else if (front_at_ > kKeep) {
      front_.erase(0, std::exchange(front_at_, 0));
    }
  }
  client_ended_ = true;
}

/// Reads once from the client, behind what is left in front_. False at its end.
awaitable<bool> Session::more() {
  while (!ended_) {
    auto& scratch = shared_.scratch;  // nothing is awaited between filling and emptying it
    const auto got = client_.read_now(scratch);
    if (!got) {
      end("the client is gone: " + got.error().what);
      co_return false;
    }
    if (*got) {
      if (**got == 0) co_return false;
      front_.append(scratch, 0, **got);
      co_return true;
    }
    if (const auto readable = co_await client_.readable(net::kNever); !readable) {
      if (!ended_) end("the client is gone: " + readable.error().what);
      co_return false;
    }
  }
  co_return false;
}

bool Session::waits(char type) const {
  if (type != 'Q' && type != 'P' && type != 'B' && type != 'E' && type != 'F') return false;
  if (type != 'E' && (barriers_ > 0 || (!ddl_ && schema_changes_ != shared_.catalogs.changes()) || system_clock().mono_ns() - schema_checked_ns_ > kLookAtCatalog)) return true;
  return outgoing_.size() + expected_.size() > kMostQueued || wire_->waiting() > kMostBytes;
}

/// Until the next message may be judged: what it depends on has its answer, and the queues are short.
awaitable<bool> Session::settle() {
  flush_parse();
  if (barriers_ > 0) {
    ask_for_answers();
    if (!co_await wait_for([&] { return barriers_ == 0; })) co_return false;
  }
  const bool full = outgoing_.size() + expected_.size() > kMostQueued;
  if (full) {
    ask_for_answers();
  }
  if (!co_await wait_for([&] { return outgoing_.size() + expected_.size() <= (full ? kMostQueued / 2 : kMostQueued) && wire_->waiting() <= kMostBytes; })) co_return false;
  // What an open transaction has changed nobody else can see, and its locks would keep the reader waiting.
  if (!ddl_ && (schema_changes_ != shared_.catalogs.changes() || system_clock().mono_ns() - schema_checked_ns_ > kLookAtCatalog)) {
    const auto changes = shared_.catalogs.changes();
    auto schema = co_await shared_.catalogs.get(*target_, *server_, database_);
    if (ended_) co_return false;
    schema_ = schema ? *schema : nullptr;
    schema_changes_ = schema ? changes : UINT64_MAX;
    schema_checked_ns_ = system_clock().mono_ns();
  }
  co_return true;
}

awaitable<bool> Session::take_messages() {
  while (!ended_ && !terminated_) {
    const auto rest = std::string_view(front_).substr(front_at_);
    const auto head = front_head(rest);
    if (!head) co_return violation(head.error().what);
    if (!*head) break;
    const char type = (*head)->type;
    if (waits(type)) {
      if (!co_await settle()) co_return false;
    }
    if ((*head)->length > kLong) {
      flush_parse();
      if (!co_await long_message(**head)) co_return false;
      continue;
    }
    const std::size_t size = kHead + (*head)->length;
    if (rest.size() < size) break;
    const auto whole = std::string_view(front_).substr(front_at_, size);
    front_at_ += size;
    if (type == 'B' && !defining_.empty() && !co_await known_name(std::string(whole))) co_return false;
    if (!copy_in_ && receipts_.concerns(type, whole.substr(kHead))) {
      if (!co_await receipt_message(type, std::string(whole.substr(kHead)))) co_return false;
      continue;
    }
    const bool good = type == 'd' || type == 'c' || type == 'f' ? co_await copy_message(**head, whole) : message(**head, whole.substr(kHead), whole);
    if (!good) co_return false;
  }
  flush_parse();
  pump();
  co_return !ended_;
}

/// A Bind of a statement whose Parse was sent before the last Sync: whether that was accepted is known by its answer.
awaitable<bool> Session::known_name(std::string bind) {
  Cursor cursor(std::string_view(bind).substr(kHead));
  cursor.text();
  const std::string name(cursor.text());
  if (parse_ && parse_->name == name) co_return true;
  const auto at = defining_.find(name);
  if (at == defining_.end() || at->second.sync == syncs_) co_return true;
  flush_parse();
  ask_for_answers();
  co_return co_await wait_for([&] { return !defining_.contains(name); });
}

bool Session::message(Head head, std::string_view body, std::string_view whole) {
  const auto broken = [&](const Error& error) { return violation(error.what); };
  if (parse_ && head.type != 'B') flush_parse();
  switch (head.type) {
    case 'Q': {
      if (body.empty() || body.find('\0') != body.size() - 1) return violation("invalid string in message: a query is one text with a NUL at its end");
      query(whole, body.substr(0, body.size() - 1));
      return true;
    }
    case 'P': {
      const auto parsed = read_parse(body);
      if (!parsed) return broken(parsed.error());
      parse(*parsed, whole);
      return true;
    }
    case 'B': {
      const auto bound = read_bind(body);
      if (!bound) return broken(bound.error());
      bind(*bound, whole);
      return true;
    }
    case 'E': {
      const auto executed = read_execute(body);
      if (!executed) return broken(executed.error());
      execute(*executed, whole);
      return true;
    }
    case 'D':
    case 'C': {
      const auto named = read_named(body);
      if (!named) return broken(named.error());
      if (head.type == 'D') describe(*named, whole);
      else close(*named, whole);
      return true;
    }
    case 'F': call(body, whole); return !ended_;
    case 'S':
    case 'H':
      if (!body.empty()) return violation("invalid message format: Sync or Flush with a body");
      if (copy_in_) return true;  // the server would ignore it too
      if (head.type == 'S') {
        ++syncs_;
        control(std::string(whole), {{'S', nullptr, nullptr, false}}, true);
      } else {
        control(std::string(whole), {});
      }
      return true;
    case 'X': terminated_ = true; return true;
    default: return violation(fmt::format("unexpected message type 0x{:02X} after the login", static_cast<unsigned char>(head.type)));
  }
}

void Session::control(std::string bytes, std::vector<Expected> expects, bool sync) {
  Outgoing outgoing;
  outgoing.control = std::move(bytes);
  outgoing.expects = std::move(expects);
  outgoing.sync = sync;
  outgoing_.push_back(std::move(outgoing));
  if (sync) pump();
}

/// A Flush of the gateway's own: the answers to what was sent are waited for.
void Session::ask_for_answers() {
  std::string flush;
  put_message(flush, 'H', "");
  control(std::move(flush), {});
  pump();
}

void Session::query(std::string_view whole, std::string_view text) {
  ++syncs_;
  auto made = command(std::string(text), "");
  made->simple = true;
  count(*made);
  std::function<std::string(const std::string&)> substitute = refused_query;
  if (!made->missing.empty())
    substitute = [verb = made->analysis->fetches.empty() ? "EXECUTE" : "FETCH FROM"](const std::string& id) { return missing_query(verb, id); };
  submit(made, std::string(whole), std::move(substitute), {{'Q', made, nullptr, false}});
}

void Session::parse(const Parse& parse, std::string_view whole) {
  auto prepared = std::make_shared<Prepared>();
  prepared->text = parse.text;
  prepared->types = parse.types;
  parse_.emplace(HeldParse{std::move(prepared), std::string(parse.name), std::string(whole)});
}

/// A Parse that no Bind follows at once is a command of its own: the text reaches the target.
void Session::flush_parse() {
  if (!parse_) return;
  auto held = std::move(*parse_);
  parse_.reset();
  auto made = command(held.prepared->text, "prepare");
  made->prepared = held.prepared;
  made->barrier = false;   // nothing of it happens yet
  made->begins = false;
  held.prepared->effects = std::get<enforce::Statement>(made->action).effects;
  if (prepared_.size() >= kMostPrepared || held.name.starts_with(kReservedName)) {
    made->problem = held.name.starts_with(kReservedName) ? "names of statements that begin so are the gateway's" : "too many prepared statements in one session";
    std::get<enforce::Statement>(made->action).problem = made->problem;
  }
  defining_[held.name] = {held.prepared, syncs_};
  made->name = held.name;
  submit(made, std::move(held.bytes), [named = !held.name.empty()](const std::string& id) { return refused_parse(id, named); }, {{'P', made, held.prepared, false}});
}

void Session::bind(const Bind& bind, std::string_view whole) {
  PreparedPtr from;
  std::string bytes;
  const std::string name(bind.statement);
  const bool merged = parse_ && parse_->name == name;
  if (parse_ && !merged) flush_parse();
  std::vector<Expected> expects;
  if (merged) {
    from = parse_->prepared;
    bytes = std::move(parse_->bytes);
    parse_.reset();
  } else {
    from = prepared(name);
  }
  auto made = command(from ? from->text : std::string(), "");
  auto& statement = std::get<enforce::Statement>(made->action);
  made->missing.clear();
  if (!from) {
    made->problem = "prepared statement \"" + name + "\" was not prepared in this session";
    made->missing = name;
  } else if (const auto at = defining_.find(name); !merged && at != defining_.end() && at->second.sync != syncs_) {
    made->problem = "prepared statement \"" + name + "\" is still being prepared by a message before the last Sync: wait for its answer";
  }
  if (merged && (prepared_.size() >= kMostPrepared || name.starts_with(kReservedName))) made->problem = "too many prepared statements in one session";
  statement.problem = made->problem;
  if (from) from->effects = statement.effects;
  made->prepared = from;
  made->portal = bind.portal;
  made->formats = bind.result_formats;
  made->name = name;
  for (std::size_t i = 0; i < bind.values.size(); ++i)
    made->parameters.push_back(parameter_text(bind.values[i], Bind::format(bind.formats, i), from && i < from->types.size() ? from->types[i] : 0));
  if (merged) {
    defining_[name] = {from, syncs_};
    expects.push_back({'P', made, from, false});
  }
  std::function<std::string(const std::string&)> substitute = refused_bind;
  if (merged) {
    substitute = [named = !name.empty()](const std::string& id) { return refused_parse(id, named); };
  } else if (!from && name.empty()) {
    // Never allowed, so what goes out is a Close and a Bind.
    substitute = [](const std::string&) { return missing_unnamed(); };
    expects.push_back({'C', nullptr, nullptr, true});
  }
  expects.push_back({'B', made, nullptr, false});
  bytes.append(whole);
  auto& portal = portals_[made->portal];
  if (portal) give_up(*portal);
  portal = std::make_shared<Portal>(Portal{made, from, bind.result_formats, syncs_, false, portal});
  submit(made, std::move(bytes), std::move(substitute), std::move(expects));
}

void Session::execute(const Execute& execute, std::string_view whole) {
  const std::string name(execute.portal);
  const auto at = portals_.find(name);
  if (at != portals_.end() && !at->second->executed && !at->second->command->over) {
    at->second->executed = true;
    count(*at->second->command);
    Outgoing outgoing;
    outgoing.command = at->second->command;
    outgoing.control = whole;
    outgoing.expects = {{'E', outgoing.command, nullptr, false}};
    outgoing_.push_back(std::move(outgoing));
    return;
  }
  // More rows of a portal that gave some, or of a cursor by its name: a command of its own.
  PreparedPtr from = at != portals_.end() ? at->second->prepared : nullptr;
  auto made = command(from ? from->text : "FETCH \"" + name + "\"", "continue");
  if (from && at->second->command) made->parameters = at->second->command->parameters;
  made->prepared = from;
  made->portal = name;
  if (at != portals_.end()) {
    made->formats = at->second->formats;
    at->second->command = made;
  }
  if (!from && !cursors_.contains(name)) {
    made->not_grammar = false;
    made->problem = "portal \"" + name + "\" was not bound in this session";
    made->missing = name;
    std::get<enforce::Statement>(made->action).problem = made->problem;
  }
  count(*made);
  submit(made, std::string(whole), missing_execute, {{'E', made, nullptr, false}});
}

void Session::describe(const Named& named, std::string_view whole) {
  if (named.kind == 'S') {
    control(std::string(whole), {{'D', nullptr, prepared(named.name), false}});
    return;
  }
  const auto at = portals_.find(std::string(named.name));
  const auto portal = at == portals_.end() ? nullptr : at->second;
  if (portal && portal->prepared) portal->prepared->asked = true;
  Outgoing outgoing;
  outgoing.control = whole;
  outgoing.expects = {{'d', portal ? portal->command : nullptr, portal ? portal->prepared : nullptr, false}};
  outgoing_.push_back(std::move(outgoing));
}

/// A portal that goes without having been executed.
void Session::give_up(Portal& portal) {
  if (portal.executed || !portal.command->running) return;
  portal.command->error = "bound and not executed";
  finish(portal.command, enforce::Outcome::Cancelled);
}

void Session::close(const Named& named, std::string_view whole) {
  if (named.kind == 'P') {
    if (const auto at = portals_.find(std::string(named.name)); at != portals_.end()) {
      give_up(*at->second);
      portals_.erase(at);
    }
  }
  control(std::string(whole), {{'C', nullptr, nullptr, false}});
}

/// FunctionCall names a function by its oid (large objects of libpq): the catalog tells which it is.
void Session::call(std::string_view body, std::string_view whole) {
  ++syncs_;
  Cursor cursor(body);
  const auto oid = cursor.u32();
  if (!cursor.ok()) return static_cast<void>(violation("invalid message format: FunctionCall"));
  std::string name;
  if (schema_)
    if (const auto at = schema_->functions.find(oid); at != schema_->functions.end()) name = at->second;
  auto made = command(name.empty() ? fmt::format("/* function of oid {} */", oid) : "SELECT pg_catalog." + name + "()", "function call");
  if (name.empty()) {
    made->problem = fmt::format("there is no function with oid {} in the target's catalog", oid);
    std::get<enforce::Statement>(made->action).problem = made->problem;
  }
  made->simple = true;
  count(*made);
  submit(made, std::string(whole), refused_query, {{'F', made, nullptr, false}});
}

awaitable<bool> Session::copy_message(Head head, std::string_view whole) {
  const std::string copy(whole);  // front_ may grow while this waits
  if (!copy_in_) {
    // It may answer a COPY that is still on its way; behind a COPY that has failed the server drops it, and so do we.
    if (!outgoing_.empty() || !expected_.empty()) ask_for_answers();
    if (!co_await wait_for([&] { return copy_in_ || (outgoing_.empty() && expected_.empty()); })) co_return false;
    if (!copy_in_) co_return true;
  }
  auto& command = *copy_in_;
  if (head.type == 'd') {
    command.copied_in += head.length;
    if (command.running && command.masking && !(command.masking->flow && (command.masking->flow->touches || command.masking->whole))) {
      std::string data = copy.substr(kHead), framed;
      shared_.services.gate.mask(*command.running, data);
      put_message(framed, 'd', data);
      shared_.services.gate.observe_bytes(*command.running, framed);
    }
    if (auto queued = wire_->queue_data(permit_, copy); !queued) co_return violation(queued.error().what);
    if (wire_->waiting() > (64u << 10)) pump();
    if (command.running && shared_.services.gate.has_chunks(*command.running)) {
      const auto kept = copy_in_;
      if (!co_await shared_.services.gate.flush(*kept->running)) {
        fatal("58030", "the evidence cannot be written");
        co_return false;
      }
    }
    co_return co_await wait_for([&] { return wire_->waiting() <= kMostBytes; });
  }
  copy_in_ = nullptr;
  (void)wire_->queue_control(permit_, copy);
  pump();
  co_return true;
}

/// A message that is too long to be held whole: rows pass piece by piece, a Bind after its verdict, a text is refused.
awaitable<bool> Session::long_message(Head head) {
  switch (head.type) {
    case 'd': {
      pump();
      if (!co_await wait_for([&] { return copy_in_ || (outgoing_.empty() && expected_.empty()); })) co_return false;
      const auto command = copy_in_;
      co_return co_await pass(kHead + head.length, command != nullptr, command);
    }
    case 'B': co_return co_await long_bind(head);
    case 'Q':
    case 'P': {
      if (head.length <= server_->max_statement + 64) break;
      // Refused without being held: an empty text of the same kind carries the refusal.
      auto made = command("", "");
      made->problem = fmt::format("the statement has {} bytes, and more than {} are not judged (max_statement)", head.length, server_->max_statement);
      std::get<enforce::Statement>(made->action).problem = made->problem;
      if (!co_await pass(kHead + head.length, false, nullptr)) co_return false;
      made->simple = head.type == 'Q';
      if (head.type == 'Q') ++syncs_;
      submit(made, "", [query = head.type == 'Q'](const std::string& id) { return query ? refused_query(id) : refused_parse(id, false); }, {{head.type, made, nullptr, false}});
      co_return true;
    }
    default: co_return violation(fmt::format("invalid length {} of message '{}'", head.length, head.type));
  }
  // Long, but within what is judged: held whole.
  while (front_.size() - front_at_ < kHead + head.length)
    if (!co_await more()) co_return false;
  const auto whole = std::string_view(front_).substr(front_at_, kHead + head.length);
  front_at_ += whole.size();
  co_return message(head, whole.substr(kHead), whole);
}

/// Moves `left` bytes of the client's to the target, or nowhere.
awaitable<bool> Session::pass(std::uint64_t left, bool forward, const CommandPtr& command) {
  while (left > 0) {
    if (front_at_ == front_.size()) {
      front_.clear();
      front_at_ = 0;
      if (!co_await more()) co_return false;
    }
    const auto piece = std::string_view(front_).substr(front_at_, static_cast<std::size_t>(std::min<std::uint64_t>(left, front_.size() - front_at_)));
    left -= piece.size();
    front_at_ += piece.size();
    if (command) command->copied_in += piece.size();
    if (!forward || ended_) continue;
    if (auto queued = wire_->queue_data(permit_, piece); !queued) co_return violation(queued.error().what);
    pump();
    if (!co_await wait_for([&] { return wire_->waiting() <= kMostBytes; })) co_return false;
  }
  co_return !ended_;
}

/// Parameters of up to a gigabyte: the head is judged with parameters unknown, the rest follows its permit.
awaitable<bool> Session::long_bind(Head head) {
  while (front_.size() - front_at_ < (64u << 10))
    if (!co_await more()) co_return false;
  Cursor cursor(std::string_view(front_).substr(front_at_ + kHead));
  const std::string portal(cursor.text()), name(cursor.text());
  if (!cursor.ok()) co_return violation("invalid message format: Bind");
  if (defining_.contains(name)) {
    ask_for_answers();
    if (!co_await wait_for([&] { return !defining_.contains(name); })) co_return false;
  }
  const auto from = prepared(name);
  auto made = command(from ? from->text : std::string(), "");
  auto& statement = std::get<enforce::Statement>(made->action);
  if (!from) made->problem = "prepared statement \"" + name + "\" was not prepared in this session";
  statement.problem = made->problem;
  statement.parameters_unknown = true;
  made->parameters.push_back(fmt::format("({} bytes of parameters, passed on without being held)", head.length));
  made->prepared = from;
  made->portal = portal;
  made->name = name;
  made->formats_unknown = true;
  const std::size_t first = std::min<std::size_t>(front_.size() - front_at_, kHead + head.length);
  std::string bytes = front_.substr(front_at_, first);
  front_at_ += first;
  portals_[portal] = std::make_shared<Portal>(Portal{made, from, {}, syncs_, false, nullptr});
  submit(made, std::move(bytes), refused_bind, {{'B', made, nullptr, false}});
  const bool waited = co_await wait_for([&] { return std::ranges::none_of(outgoing_, [&](const Outgoing& one) { return one.command == made; }); });
  if (!waited) co_return false;
  const bool forward = !made->denial && !made->over;
  const auto copied = made->copied_in;
  const bool passed = co_await pass(kHead + head.length - first, forward, made);
  made->copied_in = copied;
  co_return passed;
}

}  // namespace sallyport::protocol::postgres
