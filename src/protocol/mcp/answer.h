#pragma once
// The wording of denials and the rewriting of answers: what policy hides is cut out, what the gateway does not mediate
// is not offered, what may hold personal data is pointed out to the masker. Pure functions on parsed messages.
#include <functional>
#include <string>
#include <vector>

#include "enforce/gate.h"
#include "protocol/mcp/message.h"

namespace sallyport::protocol::mcp {

/// Revisions that are spoken, oldest first; the last is what an unknown version is answered with.
const std::vector<std::string>& versions();
bool is_version(std::string_view version);

/// The answer with its receipt, or with why there is none, in the result's _meta as "sallyport/receipt" or
/// "sallyport/receiptError". Errors of JSON-RPC stay as they are: they have no result.
std::string with_receipt(std::string answer, const Result<std::string>& receipt);
/// What a target says in the gateway's name ("sallyport/…" in the result's _meta) cut out of its answer; "" when there is nothing of it.
std::string without_our_meta(const Message& answer);

/// The answer to a denied request: an isError result for tools/call, so that the model reads rule, reason and request
/// id and can go on; an error object for everything else. `hidden`: the object is not listed, so it is unknown.
std::string denial_text(const Message& request, const enforce::Denial& denial, bool hidden);

/// What in an answer, error or notification may hold people's data: strings and structured content, but not URIs,
/// cursors, schemas and binary data, whose change would break what they are for.
std::vector<json::Value> maskable(const json::Value& root);
/// Base64 of resources whose MIME type says text: decoded, masked and encoded again by the caller.
struct TextBlob { json::Value blob; std::string text; };
std::vector<TextBlob> text_blobs(const json::Value& root);

/// The list result without the elements that `visible` says no to; "" when nothing is cut. `hidden` counts them.
std::string filter_list(const Message& answer, const ListKind& kind, const std::function<bool(std::string_view name, const json::Value& element)>& visible,
                        std::size_t& hidden);
/// The answer with one more member ("\"key\":value") in its result's _meta. Errors of JSON-RPC stay as they are: they have no result.
std::string with_meta(std::string answer, const std::string& member);

/// initialize, towards the target: a version that both sides speak, and no capability that is not mediated or not allowed (allowed_capabilities).
std::string rewrite_initialize(const Message& request, const std::vector<std::string>& server_requests, const std::vector<std::string>& extensions);
/// The answer to it, towards the client. Errors: Malformed when the target chose a version that is not spoken here.
Result<std::string> rewrite_initialize_answer(const Message& answer, const std::vector<std::string>& extensions);

/// Progress while a call is held; `token` is raw JSON.
std::string hold_progress(std::string_view token, const enforce::Approval& approval, std::int64_t held_ns);

}  // namespace sallyport::protocol::mcp
