#pragma once
// One protocol through another's door (ADR 8): a statement that a client of MCP asks for runs as the same person's own session at the
// database's protocol, with its login at the target, its judging, masking, holds and record; nothing is passed over. Offered by a
// protocol that speaks to databases, used by one that does not know it. Worker's thread only.
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "identity/principal.h"

namespace sallyport::protocol {

/// Where the asker tells that nobody waits any more. What runs is cancelled at the target; what is held stays asked for, as it does when
/// any client goes away.
struct DatabaseStop {
  bool stopped = false;
  std::function<void()> stop;   // set while a statement is under way
  void now() {
    stopped = true;
    if (stop) stop();
  }
};

struct DatabaseCall {
  identity::PrincipalPtr who;
  std::string target, database;           // names; database "" is the target's first
  std::string peer, software;             // of the client that asked, for the record
  std::string cause;                      // request id of the command that this is run for
  std::string text;                       // one statement
  std::vector<std::optional<std::string>> parameters;   // of $1, $2, … as text; nullopt is NULL
  bool read_only = true;                  // the server is told so
  std::size_t max_rows = 1000, max_bytes = 1u << 20;    // rows beyond are left at the server, or dropped
  std::int64_t silence_ns = 0;            // longest without a sign of life; words about a hold are one
  /// Words meanwhile: the server's notices, and that it is held for approval. Must not block.
  std::function<void(std::string text)> notice;
};

struct DatabaseColumn {
  std::string name, type;                 // type as the database names it: "int4"; "" when it is not known
};

struct DatabaseAnswer {
  /// The database, or the gateway in its place, refused: SQLSTATE and words.
  struct Refusal { std::string code, message, detail, hint; };
  std::optional<Refusal> refused;
  std::vector<DatabaseColumn> columns;
  std::vector<std::vector<std::optional<std::string>>> rows;   // text format; nullopt is NULL
  bool more = false;                      // there were more than asked for
  std::string tag;                        // "SELECT 5"
  std::vector<std::string> notices;
  std::string session;                    // id of its session in the record
};

class Databases {
 public:
  virtual ~Databases() = default;
  /// Runs it to its end in a session of its own. Errors: Denied (no such target for this person), Unavailable (not reached, evidence,
  /// silence), Disconnected (stopped), Malformed (the target broke its protocol).
  virtual boost::asio::awaitable<Result<DatabaseAnswer>> run(DatabaseCall call, std::shared_ptr<DatabaseStop> stop) = 0;
};

}  // namespace sallyport::protocol
