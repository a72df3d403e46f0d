#include "state/schema.h"

namespace sallyport::state {

namespace {

// "SLPT": marks the file as ours, so that a wrong path does not add our tables to somebody else's database.
constexpr std::int64_t kApplicationId = 0x534C5054;

// Migrations are only ever added. Times are UTC nanoseconds. STRICT keeps a wrong bind from being stored in silence.
constexpr const char* kMigrations[] = {
    R"sql(
CREATE TABLE tokens (
  hash     BLOB PRIMARY KEY CHECK (length(hash) = 32),  -- SHA-256 of the token; the token itself is never stored
  user     TEXT NOT NULL,
  agent    TEXT NOT NULL,                               -- '' for a person
  peer     TEXT NOT NULL,                               -- who asked for it
  created  INTEGER NOT NULL,
  expires  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_expires ON tokens (expires);

CREATE TABLE approvals (
  id                TEXT PRIMARY KEY,                   -- 'apr_…'
  state             INTEGER NOT NULL,                   -- enforce::ApprovalState
  digest            BLOB NOT NULL CHECK (length(digest) = 32),
  policy            BLOB NOT NULL CHECK (length(policy) = 32),
  request_id        TEXT NOT NULL,
  requester         TEXT NOT NULL,                      -- Principal::person()
  requester_subject TEXT NOT NULL,
  requester_issuer  TEXT NOT NULL,
  requester_agent   TEXT NOT NULL,
  requester_display TEXT NOT NULL,
  target            TEXT NOT NULL,
  session           TEXT NOT NULL,
  summary           TEXT NOT NULL,
  reason            TEXT NOT NULL,
  terms             TEXT NOT NULL,                      -- JSON: [[rule, {by_group, quorum, hold_ns, valid_ns}], …]
  created           INTEGER NOT NULL,
  expires           INTEGER NOT NULL,
  changed           INTEGER NOT NULL                    -- of the last change of state
) STRICT;
-- One live approval a digest: 0 pending, 1 granted. A second one would be a second use of one consent.
CREATE UNIQUE INDEX approvals_live ON approvals (digest) WHERE state IN (0, 1);
CREATE INDEX approvals_created ON approvals (created);

CREATE TABLE votes (
  approval TEXT NOT NULL REFERENCES approvals (id) ON DELETE CASCADE,
  person   TEXT NOT NULL,                               -- Principal::person()
  display  TEXT NOT NULL,
  groups   TEXT NOT NULL,                               -- JSON array; as they were when the vote was cast
  approve  INTEGER NOT NULL CHECK (approve IN (0, 1)),
  reason   TEXT NOT NULL,
  cast_at  INTEGER NOT NULL,
  PRIMARY KEY (approval, person)                        -- one person, one vote
) STRICT;

CREATE TABLE mcp_sessions (
  hash             BLOB PRIMARY KEY CHECK (length(hash) = 32),  -- SHA-256 of the session id that the client holds
  person           TEXT NOT NULL,                       -- Principal::person()
  agent            TEXT NOT NULL,                       -- '' for a person
  target           TEXT NOT NULL,
  upstream_session TEXT NOT NULL,
  version          TEXT NOT NULL,                       -- negotiated protocol revision
  client           TEXT NOT NULL,                       -- name and version as the client said
  evidence_session TEXT NOT NULL,                       -- hexadecimal id of its last session in the evidence log
  created          INTEGER NOT NULL,
  last_used        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX mcp_sessions_last_used ON mcp_sessions (last_used);
)sql",
    R"sql(
-- SCRAM-SHA-256 (identity/scram.h); NULL for tokens issued before: those are sent as a password inside TLS.
ALTER TABLE tokens ADD COLUMN scram_stored BLOB CHECK (scram_stored IS NULL OR length(scram_stored) = 32);
ALTER TABLE tokens ADD COLUMN scram_server BLOB CHECK (scram_server IS NULL OR length(scram_server) = 32);
CREATE INDEX tokens_user ON tokens (user);
)sql",
    R"sql(
-- People as a provider described them last (identity/directory.h); local users stand in the configuration.
CREATE TABLE people (
  issuer      TEXT NOT NULL,
  subject     TEXT NOT NULL,
  email       TEXT NOT NULL,
  name        TEXT NOT NULL,
  groups      TEXT NOT NULL,                            -- JSON array
  service     INTEGER NOT NULL CHECK (service IN (0, 1)),
  active      INTEGER NOT NULL CHECK (active IN (0, 1)),
  provisioned INTEGER NOT NULL CHECK (provisioned IN (0, 1)),
  not_before  INTEGER NOT NULL,                         -- credentials from before are taken back
  changed     INTEGER NOT NULL,
  PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;

CREATE TABLE sign_ins (
  id               TEXT PRIMARY KEY,                    -- 'sgn_…'
  issuer           TEXT NOT NULL,
  subject          TEXT NOT NULL,
  provider         TEXT NOT NULL,
  provider_session TEXT NOT NULL,                       -- OIDC sid, SAML SessionIndex
  peer             TEXT NOT NULL,
  secrets          BLOB NOT NULL,                       -- sealed by identity/vault.h
  created          INTEGER NOT NULL,
  checked          INTEGER NOT NULL,                    -- when the provider last confirmed it
  tried            INTEGER NOT NULL,                    -- when it was last asked
  asks             INTEGER NOT NULL CHECK (asks IN (0, 1)),  -- there is something to ask it with
  expires          INTEGER NOT NULL,
  revoked          INTEGER                              -- NULL while it lives
) STRICT, WITHOUT ROWID;
CREATE INDEX sign_ins_person ON sign_ins (issuer, subject);
CREATE INDEX sign_ins_session ON sign_ins (provider, provider_session);
CREATE INDEX sign_ins_tried ON sign_ins (tried) WHERE revoked IS NULL AND asks = 1;

CREATE TABLE credentials (
  hash         BLOB PRIMARY KEY CHECK (length(hash) = 32),  -- SHA-256 of the token; the token itself is never stored
  id           TEXT NOT NULL UNIQUE,                    -- 'tok_…'
  issuer       TEXT NOT NULL,
  subject      TEXT NOT NULL,
  agent        TEXT NOT NULL,                           -- '' for the person
  method       TEXT NOT NULL,
  door         INTEGER NOT NULL,                        -- identity::Door
  sign_in      TEXT NOT NULL,                           -- '' or the sign-in that it dies with
  label        TEXT NOT NULL,
  login        TEXT NOT NULL,                           -- the name that a database client gives
  peer         TEXT NOT NULL,
  created      INTEGER NOT NULL,
  expires      INTEGER NOT NULL,
  used         INTEGER NOT NULL,
  revoked      INTEGER,                                 -- NULL while it lives
  scram_stored BLOB CHECK (scram_stored IS NULL OR length(scram_stored) = 32),
  scram_server BLOB CHECK (scram_server IS NULL OR length(scram_server) = 32)
) STRICT, WITHOUT ROWID;
CREATE INDEX credentials_expires ON credentials (expires);
CREATE INDEX credentials_person ON credentials (issuer, subject);
CREATE INDEX credentials_login ON credentials (login);
CREATE INDEX credentials_sign_in ON credentials (sign_in);
CREATE TABLE totp_steps (
  user TEXT PRIMARY KEY,
  step INTEGER NOT NULL                                 -- the last one-time code that was taken: none comes twice
) STRICT, WITHOUT ROWID;

-- What provisioning clients (SCIM) said last; each has users and groups of its own.
CREATE TABLE scim_users (
  client        TEXT NOT NULL,
  id            TEXT PRIMARY KEY,
  user_name     TEXT NOT NULL,
  user_name_key TEXT NOT NULL,                          -- lower case
  external_id   TEXT NOT NULL,
  display_name  TEXT NOT NULL,
  email         TEXT NOT NULL,
  active        INTEGER NOT NULL CHECK (active IN (0, 1)),
  created       INTEGER NOT NULL,
  changed       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX scim_users_name ON scim_users (client, user_name_key);
CREATE INDEX scim_users_external ON scim_users (client, external_id);
CREATE TABLE scim_groups (
  client       TEXT NOT NULL,
  id           TEXT PRIMARY KEY,
  display_name TEXT NOT NULL,
  external_id  TEXT NOT NULL,
  created      INTEGER NOT NULL,
  changed      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX scim_groups_name ON scim_groups (client, display_name);
CREATE TABLE scim_members (
  client   TEXT NOT NULL,
  group_id TEXT NOT NULL,
  user_id  TEXT NOT NULL,
  PRIMARY KEY (group_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX scim_members_user ON scim_members (user_id);
CREATE TABLE notices (
  id       TEXT NOT NULL UNIQUE,                        -- 'msg_…': one event of a request for one channel
  channel  TEXT NOT NULL,
  body     TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  due      INTEGER NOT NULL,
  created  INTEGER NOT NULL
) STRICT;
CREATE INDEX notices_due ON notices (due);
CREATE TABLE saml_assertions (
  hash  BLOB PRIMARY KEY CHECK (length(hash) = 32),     -- of an assertion that was used: it comes once
  until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX saml_assertions_until ON saml_assertions (until);
INSERT INTO credentials SELECT hash, 'tok_' || lower(hex(randomblob(10))), 'local', user, agent, 'token', 0, '', '', user, peer, created, expires, 0, NULL,
  scram_stored, scram_server FROM tokens;
DROP TABLE tokens;
)sql",
    R"sql(
-- access: requests for access and reviews beside held commands, votes in steps.
ALTER TABLE approvals ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;            -- enforce::RequestKind: 0 command, 1 access, 2 review
ALTER TABLE approvals ADD COLUMN requester_email TEXT NOT NULL DEFAULT '';
ALTER TABLE approvals ADD COLUMN effect TEXT NOT NULL DEFAULT '';            -- JSON: what the command would do
ALTER TABLE approvals ADD COLUMN asked_for TEXT NOT NULL DEFAULT '';         -- why, in the requester's words
ALTER TABLE approvals ADD COLUMN about TEXT NOT NULL DEFAULT '';             -- the request that this one renews or reviews
ALTER TABLE approvals ADD COLUMN access TEXT NOT NULL DEFAULT '';            -- JSON: targets, duration, start, whom it is for
ALTER TABLE approvals ADD COLUMN begins INTEGER NOT NULL DEFAULT 0;          -- of granted access
ALTER TABLE approvals ADD COLUMN ends INTEGER NOT NULL DEFAULT 0;
CREATE INDEX approvals_requester ON approvals (requester, created);
ALTER TABLE votes ADD COLUMN email TEXT NOT NULL DEFAULT '';
ALTER TABLE votes ADD COLUMN step INTEGER NOT NULL DEFAULT 0;                -- the step that it fills, from 0
-- terms from here on: [[rule, {steps: [[[group, n], …], …], hold_ns, valid_ns}], …]; the older form is still read.
)sql",
    R"sql(
-- What targets said of their tools, prompts and resource templates (enforce/tool_pins.h).
CREATE TABLE tool_catalogues (
  target     TEXT NOT NULL,
  kind       INTEGER NOT NULL,                          -- enforce::PinKind: 0 tool, 1 prompt, 2 template
  first_seen INTEGER NOT NULL,
  complete   INTEGER NOT NULL CHECK (complete IN (0, 1)),  -- its last page was seen once
  PRIMARY KEY (target, kind)
) STRICT, WITHOUT ROWID;
CREATE TABLE tool_pins (
  target      TEXT NOT NULL,
  kind        INTEGER NOT NULL,
  name        TEXT NOT NULL,
  state       INTEGER NOT NULL,                         -- enforce::PinState: 0 pinned, 1 quarantined, 2 rejected
  accepted    TEXT NOT NULL,                            -- canonical JSON; '' while nothing was ever trusted
  accepted_at INTEGER NOT NULL,
  accepted_by TEXT NOT NULL,                            -- '' at first sight
  offered     TEXT NOT NULL,                            -- what waits for a review, or was rejected
  offered_at  INTEGER NOT NULL,
  why         TEXT NOT NULL,
  of          TEXT NOT NULL,                            -- of 'renamed': whose text it has
  findings    TEXT NOT NULL,                            -- JSON: [[kind, place, shown, grave], …]
  PRIMARY KEY (target, kind, name)
) STRICT;
)sql",
    R"sql(
-- OAuth for MCP: whose programs may act for whom (identity/oauth_store.h), and tokens of other servers (identity/upstream_tokens.h).
ALTER TABLE credentials ADD COLUMN resource TEXT NOT NULL DEFAULT '';        -- RFC 8707: good there only; '' = wherever the door says
ALTER TABLE credentials ADD COLUMN scopes TEXT;                              -- NULL = no scope limits it
ALTER TABLE sign_ins ADD COLUMN client TEXT NOT NULL DEFAULT '';             -- OAuth client_id; '' = the gateway's own programs
CREATE INDEX sign_ins_client ON sign_ins (issuer, subject, client);
CREATE TABLE consents (
  id       TEXT PRIMARY KEY,                            -- 'cns_…'
  issuer   TEXT NOT NULL,
  subject  TEXT NOT NULL,
  client   TEXT NOT NULL,                               -- client_id
  name     TEXT NOT NULL,                               -- as the person saw it
  resource TEXT NOT NULL,
  scopes   TEXT NOT NULL,                               -- of the last time
  created  INTEGER NOT NULL,
  changed  INTEGER NOT NULL,
  revoked  INTEGER                                      -- NULL while it stands
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX consents_live ON consents (issuer, subject, client, resource) WHERE revoked IS NULL;
CREATE TABLE refresh_tokens (
  hash     BLOB PRIMARY KEY CHECK (length(hash) = 32),  -- SHA-256 of the token; the token itself is never stored
  sign_in  TEXT NOT NULL,                               -- its family: dies with it
  client   TEXT NOT NULL,
  agent    TEXT NOT NULL,
  resource TEXT NOT NULL,
  scopes   TEXT NOT NULL,
  created  INTEGER NOT NULL,
  expires  INTEGER NOT NULL,
  used     INTEGER                                      -- NULL until it was exchanged: each comes once
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_tokens_expires ON refresh_tokens (expires);
CREATE TABLE oauth_clients (
  id       TEXT PRIMARY KEY,                            -- 'dcr_…' (RFC 7591)
  metadata TEXT NOT NULL,                               -- JSON, as it was judged
  peer     TEXT NOT NULL,
  created  INTEGER NOT NULL,
  used     INTEGER NOT NULL                             -- when somebody last signed in with it
) STRICT, WITHOUT ROWID;
CREATE INDEX oauth_clients_used ON oauth_clients (used);
CREATE TABLE upstream_tokens (
  target  TEXT NOT NULL,
  issuer  TEXT NOT NULL,                                -- whose
  subject TEXT NOT NULL,
  secrets BLOB NOT NULL,                                -- sealed by identity/vault.h
  scopes  TEXT NOT NULL,
  created INTEGER NOT NULL,
  changed INTEGER NOT NULL,
  PRIMARY KEY (target, issuer, subject)
) STRICT, WITHOUT ROWID;
)sql",
};

Result<std::int64_t> pragma(Database& database, const char* name) {
  auto statement = database.prepare(std::string("PRAGMA ") + name);
  TRY(const bool row, statement.step());
  return row ? statement.integer(0) : 0;
}

}  // namespace

int schema_version() { return static_cast<int>(std::size(kMigrations)); }

Result<void> migrate(Database& database, int to) {
  Transaction transaction(database);
  if (!transaction.began()) return transaction.commit();
  TRY(const std::int64_t version, pragma(database, "user_version"));
  TRY(const std::int64_t application, pragma(database, "application_id"));
  TRY(const std::int64_t tables, [&]() -> Result<std::int64_t> {
    auto statement = database.prepare("SELECT count(*) FROM sqlite_master");
    TRY_VOID(statement.step());
    return statement.integer(0);
  }());
  if (application != kApplicationId && (application != 0 || version != 0 || tables != 0)) {
    return fail(ErrorKind::Unavailable, "the state database belongs to another program; give Sallyport a file of its own");
  }
  if (version < 0 || version > schema_version()) {
    return fail(ErrorKind::Unavailable, fmt::format("the state database has schema version {}, this program knows up to {}; "
                                                    "start the newer program that wrote it",
                                                    version, schema_version()));
  }
  for (auto next = version; next < to; ++next) TRY_VOID(database.exec(kMigrations[next]));
  TRY_VOID(database.exec(fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {};", kApplicationId, std::max<std::int64_t>(version, to))));
  return transaction.commit();
}

}  // namespace sallyport::state
