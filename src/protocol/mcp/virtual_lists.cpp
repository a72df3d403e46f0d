// What a virtual server says of all its members at once: lists, what it can, and what a search finds. See virtual_session.h.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <algorithm>

#include "protocol/mcp/virtual_session.h"

namespace sallyport::protocol::mcp {

using boost::asio::awaitable;

namespace {

constexpr std::size_t kMaxPages = 64, kMaxListed = 20'000;
constexpr std::int64_t kFound = 10, kMostFound = 50;

std::string joined(const std::vector<std::string>& texts) {
  std::string out;
  for (const auto& text : texts) out += (out.empty() ? "" : ",") + text;
  return out;
}

}  // namespace

/// One list of all, while it is put together.
struct VirtualSession::ListWork {
  explicit ListWork(boost::asio::io_context& context) : done(context) {}
  std::string method;
  std::optional<Cursors> cursors;            // where to go on; nullopt begins
  bool all_pages = false;
  std::size_t left = 0;
  net::Condition done;
  std::vector<std::vector<Message>> pages;   // by member
  std::vector<std::optional<std::string>> why;  // it has none
  Cursors next;
  // After merge():
  struct Element {
    std::string name, raw;
    json::Value value;                       // in `pages`, in its member's words
  };
  std::vector<Element> elements;
  std::vector<std::string> collisions;       // raw JSON
  std::vector<Missing> missing;
};

awaitable<void> VirtualSession::list_one(std::shared_ptr<ListWork> work, std::size_t at) {
  const auto until = net::after(server_.timeout_ns);
  std::string cursor = work->cursors ? work->cursors->at(member_name(at)) : std::string();
  begin_opening(at, false);
  while (members_[at].opening && system_clock().mono_ns() < until) (void)co_await changed_.wait(until);
  const auto area = work->method.substr(0, work->method.find('/'));
  const auto capabilities = members_[at].greeted.result["capabilities"];
  const bool has = !capabilities.valid() || work->method == "server/discover" || capabilities[area].valid();
  bool again = true;
  while (has && !(members_[at].denied && !members_[at].session) && work->pages[at].size() < kMaxPages) {
    auto answer = co_await ask(at, work->method, cursor.empty() ? "" : R"("cursor":)" + json::quote(cursor), until);
    if (!answer && members_[at].session && members_[at].session->lost() && std::exchange(again, false)) {
      begin_opening(at, true);  // nothing is lost with a list: it is asked of the new conversation
      while (members_[at].opening && system_clock().mono_ns() < until) (void)co_await changed_.wait(until);
      cursor.clear();
      continue;
    }
    if (!answer) {
      if (members_[at].denied && !members_[at].session) break;
      if (members_[at].session) failed(at, answer.error().what);
      work->why[at] = answer.error().what;
      break;
    }
    answered(at);
    if (answer->kind == Message::Kind::Error) {
      // It has no such list, or policy keeps this person from it: there is nothing. Anything else is said.
      const auto code = answer->error["code"].as_int();
      if (code != code::kMethodNotFound && code != code::kDenied) work->why[at] = std::string(answer->error["message"].as_string());
      break;
    }
    cursor = std::string(answer->result["nextCursor"].as_string());
    work->pages[at].push_back(std::move(*answer));
    if (cursor.empty()) break;
    if (work->all_pages) continue;
    work->next[member_name(at)] = cursor;
    break;
  }
  --work->left;
  work->done.changed();
}

/// Asks the members, all at once, each with its own deadline.
awaitable<std::shared_ptr<VirtualSession::ListWork>> VirtualSession::gather(const std::string& method, std::optional<Cursors> cursors, bool all_pages) {
  auto work = std::make_shared<ListWork>(services_.context);
  work->method = method;
  work->cursors = std::move(cursors);
  work->all_pages = all_pages;
  work->pages.resize(members_.size());
  work->why.resize(members_.size());
  ++pending_;
  for (std::size_t at = 0; at < members_.size(); ++at) {
    if ((work->cursors && !work->cursors->contains(member_name(at))) || lacks_scope(at)) continue;
    ++work->left;
    boost::asio::co_spawn(services_.context, [self = shared_from_this(), work, at]() -> awaitable<void> { co_await self->list_one(work, at); }, boost::asio::detached);
  }
  while (work->left > 0) (void)co_await work->done.wait(net::kNever);
  --pending_;
  for (std::size_t at = 0; at < members_.size(); ++at)
    if (work->why[at]) work->missing.push_back({member_name(at), *work->why[at]});
  co_return work;
}

/// Of two that list one URI the first in the configuration's order has it: false for the other.
bool VirtualSession::owns_listed(std::size_t at, const ListKind& kind, const json::Value& element) {
  auto& known = kind.array == "resources" ? listed_ : templates_;
  const auto uri = element[kind.name_key].as_string();
  if (const auto there = known.find(uri); there != known.end()) {
    if (there->second < at && members_[there->second].session) return false;
    there->second = at;
  } else if (known.size() < kMaxListed) {
    known.emplace(uri, at);
  }
  return true;
}

void VirtualSession::merge(ListWork& work, const ListKind& kind) {
  for (std::size_t at = 0; at < members_.size(); ++at)
    for (const auto& page : work.pages[at])
      for (const auto element : page.result[kind.array]) {
        const auto name = element[kind.name_key];
        if (!name.is_string()) continue;
        const bool by_uri = kind.name_key != "name";
        auto raw = !by_uri || owns_listed(at, kind, element) ? element_of(server_, at, element, kind.name_key) : std::string();
        if (raw.empty()) work.collisions.push_back(R"({"server":)" + json::quote(member_name(at)) + R"(,"name":)" + std::string(name.raw()) + "}");
        else work.elements.push_back({(by_uri ? "" : server_.members[at].prefix) + std::string(name.as_string()), std::move(raw), element});
      }
}

/// "_meta":{…}, or "" when there is nothing to say.
std::string VirtualSession::meta_of(const std::vector<Missing>& missing, std::string_view more) const {
  std::string out(more);
  if (!missing.empty()) out += (out.empty() ? "" : ",") + (R"("sallyport/unavailable":)" + missing_text(missing));
  return out.empty() ? out : R"("_meta":{)" + out + "}";
}

awaitable<void> VirtualSession::list(ClientStream& client, Message message, const ListKind& kind) {
  std::optional<Cursors> cursors;
  if (const auto cursor = message.params["cursor"]; cursor.valid()) {
    auto parsed = parse_cursor(cursor.as_string());
    if (!parsed) co_return co_await refuse(client, message, code::kInvalidParams, parsed.error().what);
    cursors = std::move(*parsed);
  }
  const bool searchable = kind.array == "tools" && server_.search.over != 0;
  const auto work = co_await gather(message.method, std::move(cursors), searchable);
  merge(*work, kind);
  std::vector<std::string> shown;
  if (searchable && work->elements.size() > server_.search.over) {
    shown.push_back(search_tool(work->elements.size()));
    for (const auto& name : server_.search.always)
      for (const auto& one : work->elements)
        if (one.name == name) shown.push_back(one.raw);
  } else {
    for (auto& one : work->elements) shown.push_back(std::move(one.raw));
  }
  auto text = json::quote(kind.array) + ":[" + joined(shown) + "]";
  if (!work->next.empty()) text += R"(,"nextCursor":)" + json::quote(cursor_of(work->next));
  if (front_ == Front::Modern) text += R"(,"ttlMs":0,"cacheScope":"private")";
  const auto meta = meta_of(work->missing, work->collisions.empty() ? "" : R"("sallyport/collisions":[)" + joined(work->collisions) + "]");
  co_await result(client, message, meta.empty() ? text : text + "," + meta);
}

/// Searches what a list would show this person now: each search asks the members anew.
awaitable<void> VirtualSession::search(ClientStream& client, Message message) {
  const auto arguments = message.params["arguments"], query = arguments["query"], limit = arguments["limit"];
  if (!query.is_string() || (limit.valid() && limit.kind() != json::Kind::Int))
    co_return co_await result(client, message, R"("content":[{"type":"text","text":"search_tools needs \"query\", a text, and may have \"limit\", an integer."}],"isError":true)");
  const std::string words(query.as_string());
  const auto most = limit.valid() ? std::clamp<std::int64_t>(limit.as_int(), 1, kMostFound) : kFound;
  const auto work = co_await gather("tools/list", {}, true);
  merge(*work, *list_kind("tools/list"));
  std::vector<ToolText> texts;
  for (const auto& one : work->elements) texts.push_back({one.name, std::string(one.value["title"].as_string()), std::string(one.value["description"].as_string())});
  std::vector<std::string> found;
  for (const auto place : find_tools(texts, words, static_cast<std::size_t>(most))) {
    const auto& one = work->elements[place];
    std::string tool = R"({"name":)" + json::quote(one.name);
    for (const auto key : {"title", "description", "inputSchema"})
      if (const auto value = one.value[key]; value.valid()) tool += "," + json::quote(key) + ":" + std::string(value.raw());
    found.push_back(tool + "}");
  }
  const auto said = R"({"tools":[)" + joined(found) + R"(],"searched":)" + std::to_string(texts.size()) + "}";
  auto text = R"("content":[{"type":"text","text":)" + json::quote(said) + R"(}],"structuredContent":)" + said;
  if (const auto meta = meta_of(work->missing); !meta.empty()) text += "," + meta;
  co_await result(client, message, std::move(text));
}

/// capabilities, serverInfo and instructions, from what the members said when they were asked.
std::string VirtualSession::description() const {
  std::vector<json::Value> capabilities;
  std::string instructions;
  bool complete = true;
  for (std::size_t at = 0; at < members_.size(); ++at) {
    const auto& said = members_[at].greeted.result;
    if (said["capabilities"].is_object()) capabilities.push_back(said["capabilities"]);
    else complete = complete && members_[at].denied;
    if (!said["instructions"].as_string().empty()) instructions += (instructions.empty() ? "" : "\n\n") + member_name(at) + ":\n" + std::string(said["instructions"].as_string());
  }
  std::string out = R"("capabilities":)" + merged_capabilities(capabilities, complete);
  if (front_ == Front::Legacy) out += R"(,"serverInfo":{"name":)" + json::quote(name_) + R"(,"version":"1"})";
  if (!instructions.empty()) out += R"(,"instructions":)" + json::quote(instructions);
  return out;
}

awaitable<void> VirtualSession::discover(ClientStream& client, Message message) {
  const auto work = co_await gather(message.method, {}, false);
  for (std::size_t at = 0; at < members_.size(); ++at)
    if (!work->pages[at].empty()) members_[at].greeted = std::move(work->pages[at].front());
  auto text = R"("supportedVersions":["2026-07-28","2025-11-25","2025-06-18","2025-03-26"],)" + description();
  text += R"(,"ttlMs":0,"cacheScope":"private",)" + meta_of(work->missing, json::quote(kMetaServer) + R"(:{"name":)" + json::quote(name_) + R"(,"version":"1"})");
  co_await result(client, message, std::move(text));
}

}  // namespace sallyport::protocol::mcp
