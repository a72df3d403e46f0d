#include "admin/schemas.h"

namespace sallyport::admin {
namespace {

constexpr Schema kSchemas[] = {
    {"Problem", R"({"description":"RFC 9457","type":"object","required":["type","title","status","detail","request_id"],"properties":{"type":{"type":"string"},"title":{"type":"string"},"status":{"type":"integer"},"detail":{"type":"string","description":"What to do"},"request_id":{"type":"string","description":"Joins the answer with the evidence"}}})"},
    {"Nothing", R"({"type":"object","additionalProperties":false})"},
    {"TokenRequest", R"({"type":"object","required":["user","password"],"additionalProperties":false,"properties":{"user":{"type":"string"},"password":{"type":"string","format":"password"},"agent":{"type":"string","description":"Name of the agent that acts for the user"},"lifetime_seconds":{"type":"integer","minimum":0}}})"},
    {"Token", R"({"type":"object","required":["token","display","expires"],"properties":{"token":{"type":"string","description":"Shown once"},"display":{"type":"string"},"expires":{"type":"string","format":"date-time"}}})"},
    {"Whoami", R"({"type":"object","required":["subject","issuer","agent","display","groups","roles","expires"],"properties":{"subject":{"type":"string"},"issuer":{"type":"string"},"agent":{"type":"string"},"display":{"type":"string"},"groups":{"type":"array","items":{"type":"string"}},"roles":{"type":"array","items":{"type":"string"}},"expires":{"type":"string","format":"date-time"}}})"},
    {"Request", R"({"type":"object","required":["id","state"],"properties":{"id":{"type":"string"},"state":{"enum":["pending","granted","denied","expired","used","withdrawn"]},"request_id":{"type":"string"},"requester":{"type":"string"},"target":{"type":"string"},"session":{"type":"string"},"command":{"type":"string","description":"With masked values"},"reason":{"type":"string"},"created":{"type":"string","format":"date-time"},"expires":{"type":"string","format":"date-time"},"terms":{"type":"array","items":{"type":"object","properties":{"rule":{"type":"string"},"group":{"type":"string"},"quorum":{"type":"integer"},"missing":{"type":"integer"}}}},"votes":{"type":"array","items":{"type":"object","properties":{"by":{"type":"string"},"approve":{"type":"boolean"},"reason":{"type":"string"},"at":{"type":"string","format":"date-time"}}}}}})"},
    {"RequestList", R"({"type":"object","required":["version","requests"],"properties":{"version":{"type":"integer","description":"For `after` of watch"},"requests":{"type":"array","items":{"$ref":"#/components/schemas/Request"}}}})"},
    {"VoteRequest", R"({"type":"object","additionalProperties":false,"properties":{"reason":{"type":"string"}}})"},
    {"SessionList", R"({"type":"object","required":["sessions","next"],"properties":{"sessions":{"type":"array","items":{"type":"object","required":["session","begun","last","state"],"properties":{"session":{"type":"string"},"begun":{"type":"string","format":"date-time"},"last":{"type":"string","format":"date-time"},"user":{"type":"string"},"agent":{"type":"string"},"target":{"type":"string"},"peer":{"type":"string"},"software":{"type":"string"},"commands":{"type":"integer"},"blocked":{"type":"integer"},"held":{"type":"integer"},"masked":{"type":"integer"},"state":{"type":"string"}}}},"next":{"type":["integer","null"],"description":"`cursor` of the next page"}}})"},
    {"SessionEntries", R"({"type":"object","required":["session","entries","next"],"properties":{"session":{"type":"string"},"entries":{"type":"array","items":{"type":"object","description":"docs/formats/entry.md; an entry with `payload` has one to read","required":["index","wall_ns","kind"],"properties":{"index":{"type":"integer"},"wall_ns":{"type":"integer"},"kind":{"type":"string"}}}},"next":{"type":["integer","null"],"description":"`cursor` of the next page"}}})"},
    {"Config", R"({"type":"object","required":["policy","config"],"properties":{"policy":{"type":"string","description":"Digest of the file"},"config":{"type":"object","description":"As `sallyport config show --json`"}}})"},
    {"PolicyList", R"({"type":"object","required":["running","policies"],"properties":{"running":{"type":"string"},"policies":{"type":"array","items":{"type":"string"}}}})"},
    {"Reloaded", R"({"type":"object","required":["policy"],"properties":{"policy":{"type":"string","description":"Digest of what runs now"}}})"},
    {"UserList", R"({"type":"object","required":["users"],"properties":{"users":{"type":"array","items":{"type":"object","required":["issuer","subject","groups","service"],"properties":{"issuer":{"type":"string"},"subject":{"type":"string"},"groups":{"type":"array","items":{"type":"string"}},"service":{"type":"boolean"}}}}}})"},
    {"HoldList", R"({"type":"object","required":["holds"],"properties":{"holds":{"type":"array","items":{"type":"object","required":["index","since","basis"],"properties":{"index":{"type":"integer"},"since":{"type":"string"},"basis":{"type":"string"},"session":{"type":"string"},"from":{"type":"string"},"to":{"type":"string"}}}}}})"},
    {"HoldRequest", R"({"type":"object","required":["basis"],"additionalProperties":false,"properties":{"basis":{"type":"string","description":"Why"},"session":{"type":"string"},"from":{"type":"string"},"to":{"type":"string"}}})"},
    {"EntryIndex", R"({"type":"object","required":["index"],"properties":{"index":{"type":"integer","description":"Of the entry that says so"}}})"},
    {"EraseRequest", R"({"type":"object","required":["basis"],"additionalProperties":false,"properties":{"basis":{"type":"string","description":"Why"},"session":{"type":"string"},"person":{"type":"string"}}})"},
    {"Erased", R"({"type":"object","required":["index"],"properties":{"index":{"type":"integer"},"session":{"type":"string"},"person":{"type":"string","description":"The pseudonym"}}})"},
    {"PruneRequest", R"({"type":"object","required":["basis"],"additionalProperties":false,"properties":{"basis":{"type":"string","description":"Why"},"dry_run":{"type":"boolean"}}})"},
    {"Pruned", R"({"type":"object","required":["done"],"properties":{"done":{"type":"boolean"},"first":{"type":"integer"},"segments":{"type":"integer"},"entries":{"type":"integer"},"bytes":{"type":"integer"},"sessions":{"type":"integer"},"classes":{"type":"array","items":{"type":"object"}},"blocks":{"description":"What keeps the next segment"}}})"},
    {"OpenApi", R"({"type":"object","description":"This"})"},
};

}  // namespace

std::span<const Schema> schemas() { return kSchemas; }

}  // namespace sallyport::admin
