#include "protocol/mcp/held_calls.h"

#include <algorithm>

#include "base/clock.h"
#include "base/text.h"
#include "protocol/mcp/carried_state.h"

namespace sallyport::protocol::mcp {
namespace {
constexpr std::size_t kMaxTasks = 4096, kMaxOfPerson = 512, kMaxKept = 4096;
constexpr std::size_t kMaxBytes = 64u << 20;  // of outcomes that wait to be fetched
constexpr std::int64_t kKept = 3600LL * 1'000'000'000;  // of an outcome that nobody fetches
}  // namespace

void HeldCalls::forget_old() {
  const auto now = system_clock().wall_ns();
  std::erase_if(tasks_, [&](const auto& one) {
    const bool old = !one.second.answer.empty() && now - one.second.changed_wall_ns > kKept;
    if (old) bytes_ -= one.second.answer.size();
    return old;
  });
}

std::string HeldCalls::add(const identity::Principal& who, std::string target, std::string status_message, std::function<void()> cancel) {
  forget_old();
  const auto person = who.person();
  if (tasks_.size() >= kMaxTasks || std::ranges::count_if(tasks_, [&](const auto& one) { return one.second.person == person; }) >= static_cast<std::ptrdiff_t>(kMaxOfPerson)) return "";
  auto id = random_name("sph." + std::to_string(worker_) + ".");
  const auto now = system_clock().wall_ns();
  tasks_[id] = {person, who.agent, std::move(target), std::move(status_message), "", now, now, false, std::move(cancel)};
  return id;
}

std::string HeldCalls::keep(const enforce::Used& used) {
  const auto now = system_clock().wall_ns();
  std::erase_if(kept_, [&](const auto& one) { return one.second.wall_ns + kStateLives < now; });
  if (kept_.size() >= kMaxKept) return "";
  auto key = random_name("");
  kept_.emplace(key, used);
  return key;
}

std::optional<enforce::Used> HeldCalls::take(const std::string& key) {
  const auto at = kept_.find(key);
  if (at == kept_.end()) return std::nullopt;
  auto used = std::move(at->second);
  kept_.erase(at);
  if (used.wall_ns + kStateLives < system_clock().wall_ns()) return std::nullopt;
  return used;
}

void HeldCalls::settle(const std::string& id, std::string answer) {
  const auto at = tasks_.find(id);
  if (at == tasks_.end()) return;
  if (answer.empty()) answer = error_text("null", code::kUnavailable, "the call ended without an answer");
  forget_old();
  // The call has run, and what came of it is on record.
  if (bytes_ + answer.size() > kMaxBytes) answer = error_text("null", code::kUnavailable, "the call has run, but too many outcomes wait to be fetched: its answer is in the record only");
  bytes_ += answer.size();
  at->second.answer = std::move(answer);
  at->second.changed_wall_ns = system_clock().wall_ns();
  at->second.cancel = nullptr;
}

std::string HeldCalls::fields(const std::string& id, const Task& task) const {
  std::string out = R"("taskId":)" + json::quote(id) + R"(,"status":)";
  std::string more;
  if (task.answer.empty()) {
    out += R"("working")";
    more = R"(,"statusMessage":)" + json::quote(task.message);
  } else if (task.cancelled) {
    out += R"("cancelled")";
  } else {
    const auto parsed = parse_message(task.answer, From::Server, SIZE_MAX);
    const bool good = parsed && parsed->kind == Message::Kind::Response;
    out += good ? R"("completed")" : R"("failed")";
    if (parsed) more = good ? R"(,"result":)" + std::string(parsed->result.raw()) : R"(,"error":)" + std::string(parsed->error.raw());
  }
  return out + R"(,"createdAt":)" + json::quote(utc_text(task.created_wall_ns)) + R"(,"lastUpdatedAt":)" + json::quote(utc_text(task.changed_wall_ns)) +
         R"(,"ttlMs":3600000,"pollIntervalMs":2000)" + more;
}

std::string HeldCalls::created(const std::string& id, std::string_view request_id) const {
  return result_text(request_id, R"({"resultType":"task",)" + fields(id, tasks_.find(id)->second) + "}");
}

std::optional<std::string> HeldCalls::answer(const Message& request, const identity::Principal& who, std::string_view target) {
  if (request.method != "tasks/get" && request.method != "tasks/update" && request.method != "tasks/cancel") return std::nullopt;
  const auto at = tasks_.find(request.params["taskId"].as_string());
  if (at == tasks_.end()) return std::nullopt;
  auto& task = at->second;
  if (task.person != who.person() || task.agent != who.agent || task.target != target) return std::nullopt;
  if (request.method == "tasks/cancel" && task.answer.empty()) {
    task.cancelled = true;
    if (auto cancel = task.cancel) cancel();
  }
  if (request.method == "tasks/get") return result_text(request.id.raw(), R"({"resultType":"complete",)" + fields(at->first, task) + "}");
  return result_text(request.id.raw(), R"({"resultType":"complete"})");
}

}  // namespace sallyport::protocol::mcp
