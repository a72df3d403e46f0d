#pragma once
// What the PostgreSQL sessions of one worker share: the stations of the data path, statement shapes with their effects,
// catalogs, and one read buffer (an idle session keeps none). Worker's thread, but for Cancels, which all workers share.
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "protocol/postgres/catalogs.h"
#include "protocol/postgres/upstream.h"
#include "protocol/protocol.h"
#include "sql/shapes.h"

namespace sallyport::protocol::postgres {

/// Who may be cancelled by which key. Any thread. A key is found by its process number and compared in constant time.
class Cancels {
 public:
  /// `cancel` is called on any thread.
  BackendKey add(std::size_t secret_bytes, std::function<void()> cancel);
  void remove(std::uint32_t pid);
  bool fire(std::uint32_t pid, std::string_view secret);

 private:
  struct One {
    std::string secret;
    std::function<void()> cancel;
  };
  std::mutex mutex_;
  std::unordered_map<std::uint32_t, One> keys_;
};

struct Shared {
  Services services;
  Cancels& cancels;
  Catalogs catalogs;
  sql::Shapes shapes;
  std::string scratch = std::string(256u << 10, '\0');

  Shared(Services s, Cancels& c, Catalogs::Changes changes) : services(s), cancels(c), catalogs(s.context, std::move(changes)) {}

  /// Cancel requests need no login: a few a second and address are looked at, the others are dropped.
  bool may_cancel(const std::string& peer);

  /// The effects of a text on a database; kept with its analysis.
  enforce::SqlEffectsPtr effects(const sql::AnalysisPtr& analysis, const sql::SchemaPtr& schema);

 private:
  struct Key {
    const sql::Analysis* analysis;
    const sql::Schema* schema;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct Hash {
    std::size_t operator()(const Key& key) const { return std::hash<const void*>()(key.analysis) * 31 + std::hash<const void*>()(key.schema); }
  };
  std::unordered_map<Key, enforce::SqlEffectsPtr, Hash> effects_;
  std::unordered_map<std::string, std::pair<std::int64_t, int>> cancels_of_;   // address: second, how many in it
};

}  // namespace sallyport::protocol::postgres
