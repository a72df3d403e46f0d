// Errors and notices of the target: what the client hears of them, and what they mean for what is behind them in a pipeline.
#include "protocol/postgres/session.h"
#include "protocol/postgres/substitute.h"
#include "sql/grammar_error.h"

namespace sallyport::protocol::postgres {

using enforce::Outcome;

/// The answer of this message will not come.
bool Session::forget(const Expected& expected) {
  if (expected.kind == 'B' && expected.command) unbind(*expected.command);
  if (expected.kind == 'P')
    if (const auto at = defining_.find(expected.command->name); at != defining_.end() && at->second.prepared == expected.prepared) defining_.erase(at);
  if ((expected.kind == 'd' || expected.kind == 'D') && expected.prepared) expected.prepared->asked = false;
  return true;
}

/// The portal that this Bind made, if it has not been closed or replaced for good.
PortalPtr Session::portal_of(const Command& command) const {
  const auto at = portals_.find(command.portal);
  auto portal = at == portals_.end() ? nullptr : at->second;
  while (portal && portal->command.get() != &command) portal = portal->before;
  return portal;
}

/// A Bind that failed, or that the server skipped: what had the portal's name before may have it still (the server says whether).
void Session::unbind(const Command& command) {
  const auto at = portals_.find(command.portal);
  const auto portal = portal_of(command);
  if (!portal) return;
  const auto before = portal->before;
  auto* link = &at->second;
  while (*link != portal) link = &(*link)->before;
  *link = before;
  if (!at->second) portals_.erase(at);
}

/// After an error the server skips what follows in the pipeline, up to the next Sync.
void Session::skip_to_sync() {
  while (!expected_.empty() && expected_.front().kind != 'S') {
    const auto expected = std::move(expected_.front());
    expected_.pop_front();
    forget(expected);
    if (!expected.command || expected.command->over) continue;
    expected.command->error = "skipped after an error before it";
    finish(expected.command, Outcome::Cancelled);
  }
  skipping_ = expected_.empty();
  copy_in_ = nullptr;
}

/// What the client hears of a denied command, for which the server has refused what stood in its place.
void Session::refusal(std::string& text, Command& command, const NoticeFields& fields) {
  const auto& denial = *command.denial;
  const auto code_of_server = field_of(fields, 'C');
  if (command.problem.ends_with("in this session") && (code_of_server == "26000" || code_of_server == "34000")) {
    // The server does not know the name that stood in its place either.
    std::vector<std::pair<char, std::string>> own;
    for (const auto& [code, value] : fields) {
      std::string said(value);
      if (const auto at = said.find(kReservedName); code == 'M' && at != std::string::npos) {
        const auto end = said.find('"', at);
        said.replace(at, end == std::string::npos ? std::string::npos : end - at, command.missing);
      }
      own.emplace_back(code, std::move(said));
    }
    put_notice_fields(text, 'E', own);
  } else if (const auto refused = command.not_grammar && code_of_server == "42601" ? sql::grammar_error(command.text) : std::nullopt) {
    // The server's own words for what the client sent, not for what stood in its place.
    command.sqlstate = refused->sqlstate;
    std::vector<std::pair<char, std::string>> own;
    for (const auto& [code, value] : fields) {
      const auto said = code == 'C' ? refused->sqlstate : code == 'M' ? refused->message : code == 'F' ? refused->file : code == 'R' ? refused->routine : std::string(value);
      if (code != 'P') own.emplace_back(code, said);
      if (code == 'M' && !refused->hint.empty()) own.emplace_back('H', refused->hint);
      if (code == 'P' && refused->position > 0) own.emplace_back('P', std::to_string(refused->position));
    }
    put_notice_fields(text, 'E', own);
  } else {
    const bool cancelled = denial.cancelled;
    std::string detail = denial.rules.empty() ? "" : fmt::format("rule {}, ", fmt::join(denial.rules, ", "));
    detail += "request " + denial.request_id;
    std::string hint;
    if (denial.pending) hint = "request " + denial.approval + " stays open until " + utc_text(denial.expires_wall_ns) + ": run the same statement again once it is granted";
    else if (!denial.approval.empty()) hint = "a new request is made when the statement is run again";
    else hint = "quote the request when you ask for a rule that allows it";
    put_notice(text, 'E', {"ERROR", cancelled ? "57014" : "42501", denial.message.empty() ? denial.reason : denial.message,
                           denial.message.empty() ? detail : detail + ": " + denial.reason, hint});
  }
}

bool Session::error(std::string_view body, std::string_view whole) {
  const auto fields = read_notice(body);
  if (!fields) return lied(fields.error().what);
  const auto severity = field_of(*fields, 'V').empty() ? field_of(*fields, 'S') : field_of(*fields, 'V');
  const bool last_words = severity == "FATAL" || severity == "PANIC";
  if (expected_.empty()) {
    masked_notice(out_.buffer(), 'E', *fields, nullptr);
    if (last_words) why_ = "the target ended the session: " + std::string(field_of(*fields, 'C'));
    return true;
  }
  const auto expected = expected_.front();
  const auto& command = expected.command;
  std::string text;
  // An Execute behind the Sync of a Bind that was denied: there is no such portal, and the client has heard why before.
  const bool told = expected.kind == 'E' && field_of(*fields, 'C') == "34000" && field_of(*fields, 'M').find(kReservedName) == std::string_view::npos;
  if (command && command->denial && !told) {
    refusal(text, *command, *fields);
  } else if (command && command->over_limit) {
    put_notice(text, 'E', {"ERROR", "54000", command->error, "", "narrow the query, or ask for a rule with more rows"});
  } else {
    masked_notice(text, 'E', *fields, command.get());
    if (command) {
      command->sqlstate = field_of(*fields, 'C');
      const auto own = read_notice(std::string_view(text).substr(kHead));
      command->error = own ? std::string(field_of(*own, 'M')) : "";
    }
  }
  if (copy_in_ && copy_in_ == command) copy_in_ = nullptr;
  if (last_words) why_ = "the target ended the session: " + std::string(field_of(*fields, 'C'));
  const bool in_pipeline = expected.kind != 'Q' && expected.kind != 'F' && expected.kind != 'S';
  if (command && command->running && !command->over_limit) {
    record_rows();
    shared_.services.gate.observe_bytes(*command->running, text);
  }
  if (in_pipeline) {
    if (command) finish(command, Outcome::Error);
    to_client(text);
    skip_to_sync();
  } else {
    to_client(text);
    if (command) command->failed = true;
  }
  (void)whole;
  return true;
}

void Session::notice(std::string_view body, std::string_view whole) {
  (void)whole;
  const auto fields = read_notice(body);
  if (!fields) return static_cast<void>(lied(fields.error().what));
  if (swallowing_) return;
  record_rows();
  masked_notice(out_.buffer(), 'N', *fields, current().get());
}

/// Values of a masked column show in error texts too: `Key (ssn)=(…)`, `invalid input syntax for type integer: "…"`.
void Session::masked_notice(std::string& out, char type, const NoticeFields& fields, Command* command) {
  std::vector<std::pair<char, std::string>> own;
  const auto masking = command != nullptr ? command->masking : nullptr;
  const bool touches = masking && masking->flow && (masking->flow->touches || masking->whole);
  for (const auto& [code, value] : fields) {
    std::string text(value);
    const bool words = code == 'M' || code == 'D' || code == 'H' || code == 'W' || code == 'q';
    if (words && touches) {
      if (code == 'D' || code == 'q') text = "(not shown: the statement reads masked columns)";
      else if (code != 'H') text = without_values(text, fields, *command);
    }
    if (words && command != nullptr && command->running) shared_.services.gate.mask(*command->running, text);
    own.emplace_back(code, std::move(text));
  }
  put_notice_fields(out, type, own);
}

/// What stands in quotes and is no name of the statement may be a value.
std::string Session::without_values(const std::string& text, const NoticeFields& fields, const Command& command) {
  std::string out;
  std::size_t at = 0;
  const auto is_name = [&](std::string_view word) {
    const auto& analysis = *command.analysis;
    for (const char code : {'s', 't', 'c', 'd', 'n'})
      if (field_of(fields, code) == word) return true;
    return std::ranges::any_of(analysis.relations, [&](const auto& relation) { return relation.name == word; }) ||
           std::ranges::any_of(analysis.columns, [&](const auto& column) { return column.second == word; });
  };
  while (at < text.size()) {
    const auto open = text.find('"', at);
    if (open == std::string::npos) break;
    const auto close = text.find('"', open + 1);
    const auto end = close == std::string::npos ? text.size() : close;
    out.append(text, at, open + 1 - at);
    const auto word = std::string_view(text).substr(open + 1, end - open - 1);
    out.append(is_name(word) ? word : "***");
    if (close != std::string::npos) out += '"';
    at = close == std::string::npos ? text.size() : close + 1;
  }
  out.append(text, std::min(at, text.size()));
  return out;
}

}  // namespace sallyport::protocol::postgres
