#include "cli/config_schema.h"

#include <fmt/format.h>

#include <map>
#include <memory>
#include <vector>

#include "base/json.h"

namespace sallyport::cli {
namespace {

constexpr ConfigKey kKeys[] = {
    {"version", "version", true, "Version of the format: 1"},
    {"gateway", "object", true, "The gateway itself"},
    {"gateway.name", "string", true, "Name of this gateway; part of the evidence's origin line"},
    {"gateway.public_url", "string", true, "What clients use: https://HOST[:PORT], without a path"},
    {"gateway.admin_url", "string", false, "What browsers use for the admin address: https://HOST[:PORT]; default: https://127.0.0.1:PORT"},
    {"gateway.listen", "object", false, "Addresses to listen on"},
    {"gateway.listen.mcp", "string", false, "IP:PORT for clients; default 127.0.0.1:8443"},
    {"gateway.listen.admin", "string", false, "IP:PORT for health, metrics and approvals; default 127.0.0.1:9443"},
    {"gateway.listen.postgres", "string", false, "IP:PORT for PostgreSQL clients; without it there is no such listener"},
    {"gateway.postgres", "object", false, "How PostgreSQL clients log in"},
    {"gateway.postgres.login", "string", false, "auto (SCRAM for issued tokens, else a token as password inside TLS), scram, password or oauth"},
    {"gateway.postgres.client_ca", "string", false, "File with CAs: a client certificate for a local user's name is a login"},
    {"gateway.mcp", "object", false, "How MCP clients log in beside a bearer token"},
    {"gateway.mcp.client_ca", "string", false, "File with CAs: a client certificate for a local user's name is a login for MCP"},
    {"gateway.tls", "tls", false, "Certificate and key, or off (loopback only); default: a self-made certificate"},
    {"gateway.tls.certificate", "secret", false, "PEM certificate chain"},
    {"gateway.tls.key", "secret", false, "PEM private key"},
    {"gateway.state", "string", false, "Directory of the state database; default: state"},
    {"gateway.workers", "integer", false, "Threads, 0 to 256; default 0: one a core"},
    {"gateway.drain", "duration", false, "How long running commands may take at SIGTERM, 0s to 1h; default 30s"},
    {"gateway.hosts", "strings", false, "Further accepted Host values"},
    {"gateway.origins", "strings", false, "Accepted Origin values of browsers"},
    {"identity", "object", true, "Who may come: oidc, saml, local or several"},
    {"identity.oidc[]", "object", false, "OpenID Connect issuers whose tokens are accepted"},
    {"identity.oidc[].issuer", "string", true, "Exact value of iss; https, or http on loopback"},
    {"identity.oidc[].audience", "string", true, "Must be in aud"},
    {"identity.oidc[].subject_claim", "string", false, "Claim with the user's name; default sub"},
    {"identity.oidc[].groups_claim", "string", false, "Claim with the groups; default groups"},
    {"identity.oidc[].algorithms", "strings", false, "Accepted signatures; default RS256, PS256, ES256, EdDSA"},
    {"identity.oidc[].leeway", "duration", false, "Clock skew allowed, 0s to 2m; default 30s"},
    {"identity.oidc[].email_claim", "string", false, "Claim with the e-mail address; default email"},
    {"identity.oidc[].name_claim", "string", false, "Claim with the name for display; default name"},
    {"identity.oidc[].name", "string", false, "Its name on pages and in its callback, ADMIN_URL/auth/callback/NAME"},
    {"identity.oidc[].client", "object", false, "People sign in with it; without this its tokens are taken and that is all"},
    {"identity.oidc[].client.id", "string", true, "client_id of the gateway at the provider"},
    {"identity.oidc[].client.secret", "secret", false, "Its secret; without one PKCE alone proves the client"},
    {"identity.oidc[].client.scopes", "strings", false, "Default openid, profile, email; offline_access lets sign-ins be confirmed again"},
    {"identity.oidc[].ca", "string", false, "File with further trust anchors for the issuer's TLS"},
    {"identity.sign_in", "object", false, "How long sign-ins last"},
    {"identity.sign_in.lifetime", "duration", false, "Of a sign-in and all that comes from it, 1m to 1d; default 8h"},
    {"identity.sign_in.recheck", "duration", false, "How often the provider is asked whether it still holds, 1s to 1d; default 5m"},
    {"identity.sign_in.unconfirmed", "duration", false, "A sign-in ends when its provider could not be asked for so long, 1s to 1d; default: never"},
    {"identity.nested_groups", "lists_map", false, "Groups by name whose members are the members of other groups"},
    {"identity.federation[]", "object", false, "Platforms whose workloads prove themselves by its tokens (RFC 7523)"},
    {"identity.federation[].issuer", "string", true, "Exact value of iss; https, or http on loopback"},
    {"identity.federation[].audience", "string", true, "Must be in aud: a value of this gateway's own"},
    {"identity.federation[].algorithms", "strings", false, "Accepted signatures; default RS256, PS256, ES256, EdDSA"},
    {"identity.federation[].leeway", "duration", false, "Clock skew allowed, 0s to 2m; default 30s"},
    {"identity.federation[].ca", "string", false, "File with further trust anchors"},
    {"identity.federation[].services[]", "object", true, "Which workload is which service; the first that fits counts"},
    {"identity.federation[].services[].subject", "string", true, "Its sub, exact or with a * at the end"},
    {"identity.federation[].services[].claims", "strings_map", false, "Further claims, exact"},
    {"identity.federation[].services[].service", "string", true, "A local user with service: true"},
    {"identity.scim[]", "object", false, "Who may provision people and groups (SCIM 2.0) at ADMIN_URL/scim/v2"},
    {"identity.scim[].name", "string", true, "Its name in the record"},
    {"identity.scim[].token", "secret", true, "Its bearer token, 32 bytes at least"},
    {"identity.scim[].provider", "string", false, "Name of the OIDC provider whose people these are; or issuer"},
    {"identity.scim[].issuer", "string", false, "The issuer whose people these are, such as a SAML provider's entity ID"},
    {"identity.scim[].subject", "string", false, "Attribute that is their subject there: externalId (default), userName or id"},
    {"identity.oauth", "object", false, "MCP clients get tokens here: authorization code with PKCE, refresh, consent"},
    {"identity.oauth.clients.*", "object", false, "A client known beforehand; its name here is the agent's name in policy and record"},
    {"identity.oauth.clients.*.id", "string", false, "client_id; an https URL is that of a metadata document; default: its name"},
    {"identity.oauth.clients.*.redirect_uris", "strings", false, "Exact; on loopback the port is free. Not for metadata documents"},
    {"identity.oauth.clients.*.secret", "secret", false, "Its secret; without one PKCE alone proves the client"},
    {"identity.oauth.document_hosts", "strings", false, "Hosts whose client id metadata documents are read: exact, *.example.com or *; default: those of clients"},
    {"identity.oauth.private_hosts", "strings", false, "Of these, hosts that may have private or loopback addresses"},
    {"identity.oauth.ca", "string", false, "File with further trust anchors for fetching documents"},
    {"identity.oauth.registration", "bool", false, "Clients may register themselves (RFC 7591); default false"},
    {"identity.oauth.registrations", "integer", false, "How many at once, 1 to 10000; default 200"},
    {"identity.oauth.lifetime", "duration", false, "How long what a person allowed lasts, with its refresh tokens, 1m to 90d; default: identity.sign_in.lifetime"},
    {"identity.agents.*", "object", false, "An agent that may act for people; with any here, others may not"},
    {"identity.agents.*.groups", "strings", false, "Of its person's groups these count for it; default: all"},
    {"identity.agents.*.people", "strings", false, "Groups whose members it may act for; default: everybody"},
    {"identity.saml[]", "object", false, "SAML 2.0 identity providers of people who sign in with a browser"},
    {"identity.saml[].name", "string", true, "Its name in our addresses: ADMIN_URL/saml/NAME/metadata, /acs and /slo"},
    {"identity.saml[].metadata", "string", false, "File with the provider's EntityDescriptor, read again at a reload; or idp"},
    {"identity.saml[].idp", "object", false, "The provider's settings, where there is no metadata file"},
    {"identity.saml[].idp.entity_id", "string", true, "Its entity ID"},
    {"identity.saml[].idp.sso_url", "string", true, "Its SingleSignOnService (HTTP-Redirect)"},
    {"identity.saml[].idp.slo_url", "string", false, "Its SingleLogoutService (HTTP-Redirect)"},
    {"identity.saml[].idp.certificates", "strings", true, "PEM files; any of them may sign"},
    {"identity.saml[].entity_id", "string", false, "Our entity ID; default ADMIN_URL/saml/NAME/metadata"},
    {"identity.saml[].keys[]", "object", false, "Our keys: the first signs, each decrypts"},
    {"identity.saml[].keys[].certificate", "secret", true, "PEM certificate"},
    {"identity.saml[].keys[].key", "secret", true, "PEM key of it, RSA"},
    {"identity.saml[].sign_requests", "bool", false, "Sign what we ask; default false"},
    {"identity.saml[].signed", "string", false, "What must be signed: assertion (default), or response, which vouches for an unsigned assertion in it"},
    {"identity.saml[].idp_initiated", "bool", false, "Accept answers to nothing that we asked; default false"},
    {"identity.saml[].allow_cbc", "bool", false, "Decrypt AES-CBC, not only AES-GCM; default false"},
    {"identity.saml[].subject_attribute", "string", false, "Attribute with the user's name; default: the NameID"},
    {"identity.saml[].email_attribute", "string", false, "Attribute with the e-mail address; default email"},
    {"identity.saml[].name_attribute", "string", false, "Attribute with the name that is shown; default name"},
    {"identity.saml[].groups_attribute", "string", false, "Attribute with the groups; default groups"},
    {"identity.saml[].leeway", "duration", false, "Clock skew of the provider allowed, 0s to 2m; default 30s"},
    {"identity.same_person[]", "strings", false, "Accounts of one human, each ISSUER and SUBJECT with a bar between: one voice in approvals"},
    {"identity.local", "object", false, "Users of this file"},
    {"identity.local.token_lifetime", "duration", false, "Longest life of an issued token, 1m to 1d; default 1h"},
    {"identity.local.users.*", "object", false, "A user, by name"},
    {"identity.local.users.*.groups", "strings", false, "The user's groups"},
    {"identity.local.users.*.password_hash", "secret", false, "Argon2id hash; without it no password is accepted"},
    {"identity.local.users.*.keys", "string", false, "JWKS file with a service's public keys (private_key_jwt)"},
    {"identity.local.users.*.totp", "secret", false, "RFC 6238 secret in base32; a one-time code is then needed beside the password"},
    {"identity.local.users.*.break_glass_hash", "secret", false, "Argon2id hash of a sealed password for break-glass access"},
    {"identity.local.users.*.service", "bool", false, "A machine: never an approver; default false"},
    {"evidence", "object", false, "The record"},
    {"evidence.directory", "string", false, "Where it is kept; default: evidence"},
    {"evidence.signing_key", "secret", false, "Ed25519 key that signs it; default: made at first start, in the state directory"},
    {"evidence.high_water", "percent", false, "Fill of the disk above which new commands are refused, 50% to 99%; default 90%"},
    {"evidence.segment", "size", false, "Size of a segment file, 64KiB to 1GiB; default 64MiB"},
    {"evidence.epoch", "duration", false, "Life of an epoch key, 1s to 30d; default 1h"},
    {"evidence.log_readers", "strings", false, "Groups that may read the log at /log on the admin address; default: nobody"},
    {"evidence.keepers", "strings", false, "Groups that may erase, hold and prune evidence; default: nobody"},
    {"evidence.veil", "strings", false, "Fields that stand in entries as salted hashes, so that a pack can withhold them: target, peer, software, action, object, facts, error, reason; default: none"},
    {"evidence.retention", "object", false, "How long entries are kept before prune may remove them; default: for ever"},
    {"evidence.retention.default", "duration", true, "Entries that no class is for, 1s to 36500d"},
    {"evidence.retention.classes[]", "object", false, "A class of targets; the first that fits a target counts"},
    {"evidence.retention.classes[].labels", "strings_map", true, "Labels that the target has"},
    {"evidence.retention.classes[].keep", "duration", true, "How long its sessions are kept, 1s to 36500d"},
    {"evidence.notary", "object", false, "A notary of its own, apart from the gateway; default: one is started as a child"},
    {"evidence.notary.socket", "string", true, "Its Unix socket"},
    {"evidence.notary.key", "string", true, "Its verifier key, as `sallyport notary` prints it"},
    {"evidence.witnesses", "object", false, "Who cosigns heads"},
    {"evidence.witnesses.use[]", "object", true, "A witness (C2SP tlog-witness)"},
    {"evidence.witnesses.use[].url", "string", true, "Its URL; heads are posted to URL/add-checkpoint"},
    {"evidence.witnesses.use[].key", "string", true, "Its verifier key"},
    {"evidence.witnesses.quorum", "integer", false, "Cosignatures that make a head witnessed; default: all"},
    {"evidence.witnesses.every", "duration", false, "How often a head is brought to them, 50ms to 1h; default 1s"},
    {"evidence.witnesses.timeout", "duration", false, "How long one may take, 100ms to 60s; default 5s"},
    {"evidence.witnesses.refuse_after", "duration", false, "New commands are refused while entries wait longer for the quorum, 1s to 7d; default: never"},
    {"evidence.timestamps", "object", false, "RFC 3161 time stamps over heads"},
    {"evidence.timestamps.url", "string", true, "The authority's URL"},
    {"evidence.timestamps.ca", "string", true, "File with the certificate its answers must lead to"},
    {"evidence.timestamps.every", "duration", false, "How often, 1s to 30d, and at each sealed segment; default 1h"},
    {"notify[]", "object", false, "Where approvers are told of requests"},
    {"notify[].name", "string", true, "Name of the channel"},
    {"notify[].events", "strings", false, "Default requested, break-glass, review-overdue, tools-quarantined; also vote, granted, denied, expired, used, withdrawn, ended, revoked, reviewed"},
    {"notify[].groups", "strings", false, "Only requests that these groups decide; default: all"},
    {"notify[].webhook", "object", false, "A POST of JSON; or mail"},
    {"notify[].webhook.url", "url_or_secret", true, "Its URL, or a reference where the URL is a secret"},
    {"notify[].webhook.form", "string", false, "generic (default), slack or teams"},
    {"notify[].webhook.secret", "secret", false, "Signs it (standardwebhooks.com, HMAC-SHA256)"},
    {"notify[].webhook.ca", "string", false, "File with further trust anchors"},
    {"notify[].mail", "object", false, "A message by SMTP"},
    {"notify[].mail.server", "string", true, "smtp://HOST:PORT (STARTTLS) or smtps://HOST:PORT"},
    {"notify[].mail.from", "string", true, "Sender's address"},
    {"notify[].mail.to", "strings", true, "Addresses"},
    {"notify[].mail.user", "string", false, "Login"},
    {"notify[].mail.password", "secret", false, "Its password"},
    {"notify[].mail.tls", "string", false, "on (default), or off on loopback"},
    {"notify[].mail.ca", "string", false, "File with further trust anchors"},
    {"roles", "object", false, "Which groups have which role at the admin address"},
    {"roles.engineer", "strings", false, "Own requests and sign-ins, ask for access; default: everybody who is signed in"},
    {"roles.approver", "strings", false, "May decide what a rule gives to one of their groups; default: everybody who is signed in"},
    {"roles.policy_admin", "strings", false, "Sign-ins and grants of everybody, configuration, reload; default: nobody"},
    {"roles.auditor", "strings", false, "Read all evidence, change nothing; default: nobody"},
    {"roles.payload_reader", "strings", false, "Read sessions with what was sent and answered; default: auditors only"},
    {"targets.*", "object", true, "A target, by name: one of mcp and postgres"},
    {"targets.*.postgres", "object", false, "A PostgreSQL server; clients connect as NAME@TARGET"},
    {"targets.*.postgres.host", "string", true, "Name, address, or the directory of its Unix socket"},
    {"targets.*.postgres.port", "port", false, "Default 5432"},
    {"targets.*.postgres.database", "string", true, "What a client gets that names none"},
    {"targets.*.postgres.databases", "strings", false, "Others that a client may name"},
    {"targets.*.postgres.user", "string", true, "Role of the gateway"},
    {"targets.*.postgres.credential", "object", false, "How it proves to be that role"},
    {"targets.*.postgres.credential.password", "secret", false, "For SCRAM-SHA-256(-PLUS), md5 or, inside TLS, password"},
    {"targets.*.postgres.credential.certificate", "secret", false, "PEM client certificate"},
    {"targets.*.postgres.credential.key", "secret", false, "PEM key of it"},
    {"targets.*.postgres.tls", "string", false, "verify-full (default), or off on loopback and Unix sockets"},
    {"targets.*.postgres.ca", "string", false, "File with trust anchors"},
    {"targets.*.postgres.connect", "duration", false, "Longest login, 100ms to 5m; default 10s"},
    {"targets.*.postgres.max_statement", "size", false, "Longest text that is judged, 1KiB to 16MiB; default 4MiB"},
    {"targets.*.postgres.max_masked_row", "size", false, "Longest row that masking holds, 64KiB to 1GiB; default 64MiB"},
    {"targets.*.postgres.commit", "string", false, "strict (default): intent durable before the statement leaves; overlapped: a proven read may run meanwhile, its answer waits"},
    {"targets.*.postgres.functions", "strings", false, "Own functions that change nothing and show nothing but their arguments"},
    {"targets.*.mcp", "object", false, "An MCP server; clients reach it at PUBLIC_URL/mcp/NAME"},
    {"targets.*.mcp.url", "string", false, "Its http or https URL, without user information; or command, database or servers"},
    {"targets.*.mcp.transport", "string", false, "Of the URL: auto (default: Streamable HTTP, else HTTP+SSE), http or sse"},
    {"targets.*.mcp.command", "strings", false, "A server that the gateway starts, program first; spoken to on stdin and stdout, no shell reads it"},
    {"targets.*.mcp.env", "env_map", false, "Its environment, beside PATH all of it: texts, or secrets by reference"},
    {"targets.*.mcp.user", "string", false, "Whom it runs as; default: the gateway's own user, which may not be root then"},
    {"targets.*.mcp.network", "string", false, "none (default: a loopback of its own) or host"},
    {"targets.*.mcp.directory", "string", false, "Its working directory; default: /"},
    {"targets.*.mcp.pool", "string", false, "Who shares a process: session (nobody), principal (default: sessions of one person and agent) or shared (all; one on each worker)"},
    {"targets.*.mcp.idle", "duration", false, "A process that no session uses ends after this, 0s to 1d; default 5m"},
    {"targets.*.mcp.limits", "object", false, "What a process of it may use"},
    {"targets.*.mcp.limits.memory", "size", false, "Memory it may write to, 1MiB to 1024GiB; default 2GiB"},
    {"targets.*.mcp.limits.cpu", "duration", false, "Processor time in whole seconds, 1s to 365d; default: no limit"},
    {"targets.*.mcp.limits.files", "count", false, "Open files, 8 to 1048576; default 1024"},
    {"targets.*.mcp.limits.processes", "count", false, "Processes and threads of its user, 1 to 1048576; default: no limit"},
    {"targets.*.mcp.limits.instances", "count", false, "Processes of this target at a time on one worker, 1 to 10000; default 256"},
    {"targets.*.mcp.credential", "object", false, "What the gateway presents; the client's token is never forwarded"},
    {"targets.*.mcp.credential.bearer", "secret", false, "Sent as Authorization: Bearer"},
    {"targets.*.mcp.credential.headers", "secrets_map", false, "Further headers with secret values"},
    {"targets.*.mcp.credential.certificate", "secret", false, "Client certificate for TLS, PEM"},
    {"targets.*.mcp.credential.key", "secret", false, "Its key, PEM"},
    {"targets.*.mcp.credential.oauth", "object", false, "A token of the target's authorization server"},
    {"targets.*.mcp.credential.oauth.grant", "string", false, "client_credentials (default): the gateway's own token; authorization_code: each person connects at ADMIN_URL/connect/NAME"},
    {"targets.*.mcp.credential.oauth.issuer", "string", false, "Asked for its endpoints (RFC 8414); without it and them the target's own metadata says who (RFC 9728)"},
    {"targets.*.mcp.credential.oauth.token_endpoint", "string", false, "Instead of issuer"},
    {"targets.*.mcp.credential.oauth.authorization_endpoint", "string", false, "Beside token_endpoint"},
    {"targets.*.mcp.credential.oauth.revocation_endpoint", "string", false, "Beside token_endpoint"},
    {"targets.*.mcp.credential.oauth.client", "object", true, "What the gateway is there"},
    {"targets.*.mcp.credential.oauth.client.id", "string", true, "client_id"},
    {"targets.*.mcp.credential.oauth.client.secret", "secret", false, "Its secret"},
    {"targets.*.mcp.credential.oauth.client.key", "secret", false, "PEM key for private_key_jwt: RSA, P-256, P-384 or Ed25519"},
    {"targets.*.mcp.credential.oauth.client.key_id", "string", false, "kid of that key"},
    {"targets.*.mcp.credential.oauth.client.auth", "string", false, "client_secret_basic, client_secret_post, private_key_jwt or none; default: what secret and key suggest"},
    {"targets.*.mcp.credential.oauth.scopes", "strings", false, "Scopes to ask for"},
    {"targets.*.mcp.credential.oauth.resource", "string", false, "Sent as resource (RFC 8707); default: url; \"-\" sends none"},
    {"targets.*.mcp.credential.oauth.ca", "string", false, "File with further trust anchors for the authorization server"},
    {"targets.*.mcp.credential.oauth.private_hosts", "strings", false, "Hosts with private addresses that discovery may lead to"},
    {"targets.*.mcp.credential.aws", "object", false, "Requests are signed with AWS Signature Version 4"},
    {"targets.*.mcp.credential.aws.service", "string", true, "Service name in the signature"},
    {"targets.*.mcp.credential.aws.region", "string", true, "Region in the signature"},
    {"targets.*.mcp.credential.aws.from", "string", false, "keys, instance (IMDSv2), container or web_identity; default: keys when they stand here, else instance"},
    {"targets.*.mcp.credential.aws.access_key", "secret", false, "Access key id"},
    {"targets.*.mcp.credential.aws.secret_key", "secret", false, "Secret access key"},
    {"targets.*.mcp.credential.aws.session_token", "secret", false, "Session token of temporary keys"},
    {"targets.*.mcp.credential.aws.role", "string", false, "ARN of the role, with web_identity"},
    {"targets.*.mcp.credential.aws.token_file", "string", false, "File with the platform's token, with web_identity"},
    {"targets.*.mcp.credential.aws.endpoint", "string", false, "Where IMDS or STS is, when not at the usual place"},
    {"targets.*.mcp.scopes", "object", false, "OAuth scopes that a client's token needs; tokens that did not come by OAuth need none"},
    {"targets.*.mcp.scopes.use", "strings", false, "For anything at this target"},
    {"targets.*.mcp.scopes.tools", "lists_map", false, "For tools by name, exact or with a * at the end"},
    {"targets.*.mcp.ca", "string", false, "File with further trust anchors for https"},
    {"targets.*.mcp.era", "string", false, "auto (default), legacy (sessions, up to 2025-11-25) or modern (2026-07-28): what the server speaks"},
    {"targets.*.mcp.server_requests", "strings", false, "Of sampling, elicitation, roots: what the server may ask of clients, where policy allows it; default none"},
    {"targets.*.mcp.extensions", "strings", false, "Protocol extensions that client and server may be told of; default none"},
    {"targets.*.mcp.methods", "strings", false, "Methods unknown to this version that are judged and forwarded all the same"},
    {"targets.*.mcp.timeout", "duration", false, "Longest silence on an answer, 1s to 1h; default 2m"},
    {"targets.*.mcp.max_message", "size", false, "Longest message, 1KiB to 64MiB; default 16MiB"},
    {"targets.*.mcp.search", "object", false, "A large catalog is not listed but searched: the list shows a tool search_tools instead"},
    {"targets.*.mcp.search.over", "count", false, "When more tools than this are visible, 1 to 10000; default 50"},
    {"targets.*.mcp.search.always", "strings", false, "Tools that are listed all the same, by the names that clients see"},
    {"targets.*.mcp.database", "object", false, "Instead of url: another target of the gateway, offered as tools; with timeout, scopes and search only"},
    {"targets.*.mcp.database.target", "string", true, "The name of a postgres target"},
    {"targets.*.mcp.database.name", "string", false, "Which of its databases; default: its database"},
    {"targets.*.mcp.database.tools", "strings", false, "Of query, explain, describe; default: all"},
    {"targets.*.mcp.database.write", "bool", false, "Statements may write, where the policy of the database target allows it; default: false, transactions are read-only"},
    {"targets.*.mcp.database.rows", "count", false, "Most rows of an answer, 1 to 100000; default 1000"},
    {"targets.*.mcp.database.bytes", "size", false, "Most bytes of its rows, 1KiB to 4MiB; default 1MiB"},
    {"targets.*.mcp.servers", "object", false, "Instead of url: a virtual server, several MCP targets behind one name; with search and timeout (of one member's list, 100ms to 1m; default 10s) only"},
    {"targets.*.mcp.servers.*", "object", false, "A member, by the name that notes and logs have; lists are in the order of the file"},
    {"targets.*.mcp.servers.*.target", "string", false, "The MCP target it is; default the member's own name"},
    {"targets.*.mcp.servers.*.prefix", "string", false, "What the names of its tools and prompts begin with; needed beside others, \"\" for one whose names stay"},
    {"targets.*.mcp.trust", "object", false, "How far what it says of its tools is trusted (docs/protocols/mcp.md)"},
    {"targets.*.mcp.trust.pinning", "bool", false, "Definitions are pinned at first sight and changed ones quarantined; default true"},
    {"targets.*.mcp.trust.new_tools", "string", false, "Tools that come after the first catalogue: flag (default), or quarantine until somebody accepts them"},
    {"targets.*.mcp.trust.suspicious", "string", false, "Tools whose text no honest description has: quarantine (default), or flag"},
    {"targets.*.mcp.trust.arguments", "string", false, "check (default): calls keep to the pinned schema; strict: also none pass by a schema that cannot be judged whole; ignore"},
    {"targets.*.budget", "object", false, "What each person may use of it, in a stretch of time"},
    {"targets.*.budget.calls", "count", false, "Commands; lists, greetings and what is held do not count"},
    {"targets.*.budget.bytes", "size", false, "Bytes of answers"},
    {"targets.*.budget.concurrent", "count", false, "Commands that run at a time; what is held does not count"},
    {"targets.*.budget.per", "duration", false, "The stretch, 1s to 30d; default 1m"},
    {"targets.*.labels", "strings_map", false, "Labels that rules select by"},
    {"access[]", "object", false, "Access rules: who may ask for which targets, and who grants it"},
    {"access[].id", "string", true, "Its name; the selector access:ID is true while a grant under it is active"},
    {"access[].who", "any_of", true, "Who may ask: group:NAME, user:NAME, agent:NAME, agent:* or anyone"},
    {"access[].target", "targets", true, "For what: a label map, a name or a list of names"},
    {"access[].steps", "steps", false, "Who grants it, step by step: [[{ by: group:NAME, n: 1 }]]; needed without break_glass"},
    {"access[].longest", "duration", true, "Longest access, 1s to 30d"},
    {"access[].ahead", "duration", false, "How far in the future a start may lie, 0s to 90d; default 7d"},
    {"access[].valid", "duration", false, "How long a request waits, 1s to 30d; default 1d"},
    {"access[].reason", "bool", false, "A request needs a reason; default true"},
    {"access[].break_glass", "object", false, "Granted at once to a break-glass credential, and reviewed afterwards"},
    {"access[].break_glass.review_by", "string", true, "The group that reviews it: group:NAME"},
    {"access[].break_glass.n", "integer", false, "How many people have to, 1 to 10; default 1"},
    {"access[].break_glass.review_within", "duration", false, "When the review is due, 1m to 30d; default 1d"},
    {"policy[]", "rule", false, "Rules: id, message and one of allow, block, approve, mask"},
    {"tests[]", "test", false, "Tests of the rules, run at every load: as, target, mcp or sql, expect, rule, name"},
};

struct Level {
  const ConfigKey* key = nullptr;
  std::map<std::string, std::unique_ptr<Level>> children;
};

constexpr std::string_view kSecret = R"({"$ref":"#/$defs/secret"})";

std::string type_of(std::string_view type) {
  static const std::map<std::string_view, std::string> kTypes = {
      {"version", R"("const":1)"},
      {"string", R"("type":"string","minLength":1)"},
      {"bool", R"("type":"boolean")"},
      {"port", R"("type":"integer","minimum":1,"maximum":65535)"},
      {"integer", R"("type":"integer","minimum":0,"maximum":256)"},
      {"count", R"("type":"integer","minimum":1,"maximum":1048576)"},
      {"duration", R"("type":"string","pattern":"^(0|[1-9][0-9]*)(ms|s|m|h|d)$")"},
      {"size", R"("type":"string","pattern":"^[1-9][0-9]*(KiB|MiB|GiB)$")"},
      {"percent", R"("type":"string","pattern":"^[5-9][0-9]%$")"},
      {"secret", R"("$ref":"#/$defs/secret")"},
      {"url_or_secret", fmt::format(R"("oneOf":[{{"type":"string","minLength":1}},{}])", kSecret)},
      {"strings", R"("type":"array","items":{"type":"string"})"},
      {"any_of", R"("oneOf":[{"type":"string"},{"type":"array","items":{"type":"string"},"minItems":1}])"},
      {"targets", R"("oneOf":[{"type":"string"},{"type":"array","items":{"type":"string"},"minItems":1},{"type":"object"}])"},
      {"steps", R"("type":"array","items":{"type":"array","minItems":1,"items":{"type":"object","required":["by"],"properties":{"by":{"type":"string","pattern":"^group:."},)"
                R"("n":{"type":"integer","minimum":1,"maximum":10}},"additionalProperties":false}})"},
      {"strings_map", R"("type":"object","additionalProperties":{"type":"string"})"},
      {"lists_map", R"("type":"object","additionalProperties":{"type":"array","items":{"type":"string"}})"},
      {"env_map", fmt::format(R"("type":"object","additionalProperties":{{"oneOf":[{{"type":"string"}},{}]}})", kSecret)},
      {"secrets_map", fmt::format(R"("type":"object","additionalProperties":{})", kSecret)},
      {"rule", R"("type":"object","required":["id"],"oneOf":[{"required":["allow"]},{"required":["block"]},{"required":["approve"]},{"required":["mask"]}],)"
               R"("properties":{"id":{"type":"string","pattern":"^[a-z0-9-]{1,64}$"},"message":{"type":"string"},"allow":{"type":"object"},)"
               R"("block":{"type":"object"},"approve":{"type":"object","required":["by"]},"mask":{"type":"object"}},"additionalProperties":false)"},
      {"test", R"("type":"object","required":["as","target","expect"],"properties":{"as":{"type":"object","required":["user"]},)"
               R"("target":{"type":"string"},"mcp":{"type":"object"},"sql":{"type":"string"},"in_transaction":{"type":"boolean"},"expect":{"enum":["allow","block","approve"]},)"
               R"("rule":{"type":"string"},"name":{"type":"string"}},"additionalProperties":false)"}};
  return kTypes.at(type);
}

std::string write(const Level& level);

/// The members of an object: names, the rule for any name, and what is required.
std::string members(const Level& level) {
  std::string properties, required, any = "false";
  for (const auto& [name, child] : level.children) {
    if (name == "*") {
      any = write(*child);
      continue;
    }
    const bool list = name.ends_with("[]");
    const auto plain = list ? name.substr(0, name.size() - 2) : name;
    const auto text = list ? R"({"type":"array","items":)" + write(*child) + "}" : write(*child);
    properties += fmt::format("{}{}:{}", properties.empty() ? "" : ",", json::quote(plain), text);
    const bool named = child->children.contains("*") && child->children.at("*")->key && child->children.at("*")->key->required;
    if ((child->key && child->key->required) || named) required += fmt::format("{}{}", required.empty() ? "" : ",", json::quote(plain));
  }
  auto out = fmt::format(R"("type":"object","properties":{{{}}},"additionalProperties":{})", properties, any);
  if (!required.empty()) out += fmt::format(R"(,"required":[{}])", required);
  return out;
}

std::string write(const Level& level) {
  std::string doc = level.key ? fmt::format(R"("description":{},)", json::quote(level.key->doc)) : "";
  const std::string_view type = level.key ? level.key->type : "object";
  if (type == "tls") {
    return fmt::format(R"({{{}"oneOf":[{{"enum":["off",false]}},{{{},"dependentRequired":{{"certificate":["key"],"key":["certificate"]}}}}]}})", doc, members(level));
  }
  return fmt::format("{{{}{}}}", doc, type == "object" ? members(level) : type_of(type));
}

}  // namespace

std::span<const ConfigKey> config_keys() { return kKeys; }

std::string config_schema() {
  Level root;
  for (const auto& key : kKeys) {
    Level* at = &root;
    for (std::string_view rest = key.path; !rest.empty();) {
      const auto dot = rest.find('.');
      auto& child = at->children[std::string(rest.substr(0, dot))];
      if (!child) child = std::make_unique<Level>();
      at = child.get();
      rest = dot == std::string_view::npos ? std::string_view() : rest.substr(dot + 1);
    }
    at->key = &key;
  }
  constexpr std::string_view kDefs = R"("$defs":{"secret":{"description":"A secret by reference","type":"object","oneOf":[{"required":["env"]},{"required":["file"]}],)"
                                     R"("properties":{"env":{"type":"string","pattern":"^[A-Za-z_][A-Za-z0-9_]*$"},"file":{"type":"string","minLength":1}},"additionalProperties":false}})";
  return fmt::format(R"({{"$schema":"https://json-schema.org/draft/2020-12/schema","title":"Sallyport configuration",{},{}}})", members(root), kDefs);
}

}  // namespace sallyport::cli
