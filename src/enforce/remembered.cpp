#include "enforce/remembered.h"

#include "base/clock.h"

namespace sallyport::enforce {

using boost::asio::awaitable;

namespace {

constexpr std::int64_t kKeep = 7LL * 86'400'000'000'000;  // unused for longer: nobody comes back for it

Digest key_of(const std::string& id) { return sha256(as_bytes(id)); }

}  // namespace

awaitable<Result<void>> RememberedSessions::remember(std::string id, RememberedSession session) {
  co_return co_await store_.run([id = std::move(id), session = std::move(session)](state::Database& database) -> Result<void> {
    const auto now = system_clock().wall_ns();
    state::Transaction transaction(database);
    if (!transaction.began()) return transaction.commit();
    auto purge = database.prepare("DELETE FROM mcp_sessions WHERE last_used < ?");
    TRY_VOID(purge.bind(1, now - kKeep).run());
    auto insert = database.prepare(
        "INSERT INTO mcp_sessions (hash, person, agent, target, upstream_session, version, client, evidence_session, created, last_used) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9) "
        "ON CONFLICT (hash) DO UPDATE SET upstream_session = ?5, version = ?6, client = ?7, evidence_session = ?8, last_used = ?9");
    const auto key = key_of(id);
    insert.bind_blob(1, key);
    insert.bind(2, session.person).bind(3, session.agent).bind(4, session.target).bind(5, session.upstream_session);
    insert.bind(6, session.version).bind(7, session.client).bind(8, session.evidence_session).bind(9, now);
    TRY_VOID(insert.run());
    return transaction.commit();
  });
}

awaitable<Result<std::optional<RememberedSession>>> RememberedSessions::recall(std::string id) {
  co_return co_await store_.run([id = std::move(id)](state::Database& database) -> Result<std::optional<RememberedSession>> {
    auto select = database.prepare("SELECT person, agent, target, upstream_session, version, client, evidence_session FROM mcp_sessions WHERE hash = ?");
    const auto key = key_of(id);
    select.bind_blob(1, key);
    TRY(const bool found, select.step());
    if (!found) return std::optional<RememberedSession>{};
    return std::optional<RememberedSession>(RememberedSession{select.text(0), select.text(1), select.text(2), select.text(3), select.text(4),
                                                              select.text(5), select.text(6)});
  });
}

awaitable<Result<void>> RememberedSessions::forget(std::string id) {
  co_return co_await store_.run([id = std::move(id)](state::Database& database) -> Result<void> {
    auto remove = database.prepare("DELETE FROM mcp_sessions WHERE hash = ?");
    const auto key = key_of(id);
    return remove.bind_blob(1, key).run();
  });
}

}  // namespace sallyport::enforce
