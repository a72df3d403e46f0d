#include "cli/session_source.h"

#include "admin/percent.h"
#include "cli/command.h"
#include "cli/evidence_place.h"
#include "evidence/keeping.h"

namespace sallyport::cli {
namespace {

class DirectorySource final : public SessionSource {
 public:
  explicit DirectorySource(std::string directory) : directory_(std::move(directory)) {}

  int list(const evidence::SessionFilter& filter, const std::function<void(const json::Value&)>& visit) override {
    if (const int code = open(); code != exit_code::kDone) return code;
    const auto page = evidence::sessions_of(*reader_, filter);
    if (!page) return failed(page.error());
    for (const auto& one : page->sessions)
      if (const auto document = json::Document::parse(evidence::to_json(one))) visit(document->root());
    return exit_code::kDone;
  }

  int entries(const std::string& prefix, const std::function<bool(const json::Value&)>& visit) override {
    if (const int code = open(); code != exit_code::kDone) return code;
    const auto id = evidence::find_session(*reader_, prefix);
    if (!id) {
      fmt::print(stderr, "sallyport: {}\n", printable(id.error().what));
      return id.error().kind == ErrorKind::Denied ? exit_code::kNotFound : exit_code::kError;
    }
    const auto read = evidence::each_of_session(*reader_, *id, [&](const evidence::StoredEntry& entry, bool) {
      entry_ = &entry;
      const auto document = json::Document::parse(evidence::to_json(entry));
      return document && visit(document->root());
    });
    entry_ = nullptr;
    return read ? exit_code::kDone : failed(read.error());
  }

  Result<std::string> payload(const json::Value&) override {
    const auto& session = *entry_->session;
    if (!chunks_ || chunks_of_ != session) {
      TRY(chunks_, reader_->chunks(session));
      chunks_of_ = session;
    }
    return reader_->payload(session, *entry_->payload(), *chunks_);
  }

 private:
  int open() {
    auto reader = evidence::Reader::open(directory_);
    if (!reader) return failed(reader.error());
    reader_ = std::move(*reader);
    return exit_code::kDone;
  }
  std::string directory_;
  std::optional<evidence::Reader> reader_;
  const evidence::StoredEntry* entry_ = nullptr;  // the one that is visited
  std::optional<evidence::Reader::Chunks> chunks_;
  Id16 chunks_of_{};
};

class GatewaySource final : public SessionSource {
 public:
  explicit GatewaySource(ClientOptions options) : client_(std::move(options)) {}

  int list(const evidence::SessionFilter& filter, const std::function<void(const json::Value&)>& visit) override {
    std::string asked;
    const auto add = [&](const char* name, const std::string& value) {
      if (!value.empty()) asked += std::string("&") + name + "=" + admin::percent_encoded(value);
    };
    add("who", filter.user);
    add("target", filter.target);
    if (filter.from > 0) add("from", evidence::utc_milliseconds(filter.from).substr(0, 19) + "Z");
    // The newest come first, a page at a time; people read the oldest first.
    std::vector<json::Document> pages;
    std::size_t left = filter.limit;
    for (std::string cursor; left > 0;) {
      auto reply = client_.request("GET", fmt::format("/api/sessions?limit={}{}{}", std::min<std::size_t>(left, kPage), asked, cursor), "", true, kLong);
      if (const int code = explain(reply); code != exit_code::kDone) return code;
      pages.push_back(std::move(reply->body));
      const auto root = pages.back().root();
      left -= std::min(left, root["sessions"].size());
      if (root["next"].kind() != json::Kind::Int) break;
      cursor = fmt::format("&cursor={}", root["next"].as_int());
    }
    for (auto page = pages.rbegin(); page != pages.rend(); ++page) {
      std::vector<json::Value> ones;
      for (const auto one : page->root()["sessions"]) ones.push_back(one);
      for (auto one = ones.rbegin(); one != ones.rend(); ++one) visit(*one);
    }
    return exit_code::kDone;
  }

  int entries(const std::string& prefix, const std::function<bool(const json::Value&)>& visit) override {
    for (std::string cursor;;) {
      const auto reply = client_.request("GET", fmt::format("/api/sessions/{}?limit={}{}", admin::percent_encoded(prefix), kPage, cursor), "", true, kLong);
      if (const int code = explain(reply); code != exit_code::kDone) return code;
      const auto root = reply->body.root();
      for (const auto entry : root["entries"])
        if (!visit(entry)) return exit_code::kDone;
      if (root["next"].kind() != json::Kind::Int) return exit_code::kDone;
      cursor = fmt::format("&cursor={}", root["next"].as_int());
    }
  }

  Result<std::string> payload(const json::Value& entry) override {
    return client_.fetch(fmt::format("/api/sessions/{}/payloads/{}", admin::percent_encoded(entry["session"].as_string()), entry["index"].as_int()), kLong);
  }

 private:
  static constexpr std::size_t kPage = 500;
  static constexpr long kLong = 60;
  Client client_;
};

}  // namespace

std::unique_ptr<SessionSource> directory_source(std::string directory) { return std::make_unique<DirectorySource>(std::move(directory)); }
std::unique_ptr<SessionSource> gateway_source(ClientOptions options) { return std::make_unique<GatewaySource>(std::move(options)); }

}  // namespace sallyport::cli
