// From a text to its Analysis: the parser's limits, its thread for long texts, and what is concluded at the end.
#include <pg_query.h>
#include <pthread.h>

#include <algorithm>

#include "sql/analyser.h"

namespace sallyport::sql {
namespace {

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr std::size_t kFrames = 16;  // an instrumented frame is that much larger
#else
constexpr std::size_t kFrames = 1;
#endif
#else
constexpr std::size_t kFrames = 1;
#endif

/// libpg_query recurses once an operator; two bytes of text can be one ("+1"), each costs up to 160 bytes of stack, and
/// our own walk over its JSON as much again. (Its grammar takes 10,000 levels of anything but such chains.)
constexpr std::size_t kOnThisStack = (8u << 10) / kFrames;
constexpr std::size_t kStackPerByte = 512 * kFrames;
constexpr std::size_t kMaxDepth = 100'000;

/// Runs `work` on a thread of its own with that much stack; the pages are only touched when they are needed.
bool on_stack_of(std::size_t bytes, const std::function<void()>& work) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, bytes);
  pthread_t thread;
  const auto run = [](void* argument) -> void* {
    (*static_cast<const std::function<void()>*>(argument))();
    return nullptr;
  };
  const int failed = pthread_create(&thread, &attributes, run, const_cast<std::function<void()>*>(&work));
  pthread_attr_destroy(&attributes);
  if (failed != 0) return false;
  pthread_join(thread, nullptr);
  return true;
}

bool is_transaction_control(const std::string& verb) {
  static const std::set<std::string> kVerbs = {"begin", "start", "commit", "rollback", "savepoint", "release", "rollback_to", "set", "show",
                                               "deallocate", "close", "reset_all", "discard", "unlisten", "set_constraints"};
  return kVerbs.contains(verb);
}

void conclude(Analysis& out) {
  std::ranges::sort(out.columns);
  const auto repeated = std::ranges::unique(out.columns);
  out.columns.erase(repeated.begin(), repeated.end());
  // A function that nobody here knows may do anything, also while a plan is made.
  out.weight_but_calls = out.weight;
  if (!out.calls.empty()) out.weight = Class::Unknown;
  out.control = std::ranges::all_of(out.verbs, is_transaction_control) && std::ranges::all_of(out.settings, is_harmless_setting);
  out.effect_free = out.weight == Class::Read && out.calls.empty() && out.settings.empty() && out.executes.empty() && out.fetches.empty() &&
                    out.prepares.empty() && out.declares.empty() && !out.copies_in && !out.explains && out.statements == 1 &&
                    std::ranges::all_of(out.verbs, [](const auto& verb) { return verb == "select"; });
  if (out.verb.empty()) out.verb = "empty";
  out.shape = out.verb;
  for (const auto& relation : out.relations) {
    if (out.shape.size() > 120) break;
    out.shape += ' ' + (relation.schema.empty() ? "" : relation.schema + ".") + relation.name;
  }
}

Result<AnalysisPtr> analyse_here(const std::string& text) {
  auto parsed = pg_query_parse(text.c_str());
  const std::unique_ptr<PgQueryParseResult, void (*)(PgQueryParseResult*)> free_parsed(&parsed, [](PgQueryParseResult* p) { pg_query_free_parse_result(*p); });
  if (parsed.error != nullptr)
    return fail(std::string_view(parsed.error->message).starts_with("stack depth limit") ? ErrorKind::Denied : ErrorKind::Malformed, fmt::format("{} (at character {})", parsed.error->message, parsed.error->cursorpos));
  json::Limits limits;
  limits.max_depth = kMaxDepth;
  limits.max_bytes = 1u << 30;
  limits.max_nodes = 64'000'000;
  auto document = json::Document::parse(parsed.parse_tree, limits);
  if (!document) return fail(ErrorKind::Denied, "the statement is too long or too deeply nested to be judged: " + document.error().what);
  auto out = std::make_shared<Analysis>();
  Analyser analyser(*out);
  const auto statements = document->root()["stmts"];
  out->statements = statements.size();
  for (const auto statement : statements) analyser.statement(statement["stmt"]);
  if (analyser.too_much() || out->relations.size() * out->columns.size() > kMaxPairs)
    return fail(ErrorKind::Denied, "the statement names too many tables and columns to be judged");
  auto normalized = pg_query_normalize(text.c_str());
  if (normalized.error == nullptr && normalized.normalized_query != nullptr) out->normalized = normalized.normalized_query;
  pg_query_free_normalize_result(normalized);
  conclude(*out);
  return AnalysisPtr(std::move(out));
}

}  // namespace

const char* to_string(Class value) {
  switch (value) {
    case Class::Read: return "read";
    case Class::Session: return "session";
    case Class::Write: return "write";
    case Class::Ddl: return "ddl";
    case Class::Dcl: return "dcl";
    case Class::Unknown: break;
  }
  return "unknown";
}

Result<AnalysisPtr> analyse(const std::string& text) {
  if (text.size() > kMaxText) return fail(ErrorKind::Denied, fmt::format("a statement of {} bytes is too long to be judged", text.size()));
  if (text.find('\0') != std::string::npos) return fail(ErrorKind::Malformed, "the statement holds a NUL byte");
  if (text.size() <= kOnThisStack) return analyse_here(text);
  Result<AnalysisPtr> out = fail(ErrorKind::Unavailable, "there is no thread to judge so long a statement");
  on_stack_of((8u << 20) + text.size() * kStackPerByte, [&] { out = analyse_here(text); });
  return out;
}

}  // namespace sallyport::sql
