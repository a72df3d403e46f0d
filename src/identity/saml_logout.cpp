#include "identity/saml_logout.h"

#include <fmt/format.h>

#include "base/clock.h"
#include "base/text.h"
#include "identity/claims.h"
#include "identity/saml_redirect.h"

namespace sallyport::identity::saml {
namespace {

constexpr std::int64_t kOldest = 300LL * 1'000'000'000;
constexpr std::size_t kMostSessions = 64;

SamlJudged<void> check_head(const xmlNode* root, const LogoutRules& rules) {
  if (attribute(root, "Version") != "2.0" || !is_id(attribute(root, "ID"))) return refuse(Reason::Malformed, "no SAML 2.0 message with an ID");
  if (auto issuer = check_issuer(root, rules.provider, true); !issuer) return issuer;
  // A signed message names where it was meant to go (bindings §3.4.5.2, §3.5.5.2).
  if (attribute(root, "Destination") != rules.self.slo_url) return refuse(Reason::WrongDestination, "Destination " + clean(attribute(root, "Destination")));
  const auto leeway = leeway_of(rules.config);
  const auto issued = time_of(attribute(root, "IssueInstant"));
  if (!issued) return std::unexpected(issued.error());
  if (*issued > rules.wall_ns + leeway) return refuse(Reason::NotYetValid, "issued in the future");
  if (rules.wall_ns >= *issued + kOldest + leeway) return refuse(Reason::Expired, "issued over five minutes ago");
  if (!has_attribute(root, "NotOnOrAfter")) return {};
  const auto until = time_of(attribute(root, "NotOnOrAfter"));
  if (!until) return std::unexpected(until.error());
  if (rules.wall_ns >= *until + leeway) return refuse(Reason::Expired, "the request is over");
  return {};
}

SamlJudged<void> read_request(const xmlNode* root, SamlLogout& out) {
  auto name = read_name_id(root);
  if (!name) return std::unexpected(name.error());
  if (!is_plain_name(name->value)) return refuse(Reason::BadSubject, "a NameID that is empty, over 256 bytes or has control characters");
  out.name_id = std::move(*name);
  for (const auto* one : children(root, kProtocolNs, "SessionIndex")) {
    auto index = text_of(one);
    if (!index) return std::unexpected(index.error());
    if (out.session_indexes.size() == kMostSessions) return refuse(Reason::Malformed, "over 64 sessions");
    out.session_indexes.push_back(std::move(*index));
  }
  return {};
}

/// `root` stands in what was signed.
SamlJudged<SamlLogout> read_message(const xmlNode* root, const LogoutRules& rules) {
  SamlLogout out;
  out.response = is(root, kProtocolNs, "LogoutResponse");
  if (!out.response && !is(root, kProtocolNs, "LogoutRequest")) return refuse(Reason::Malformed, "the root is no logout message");
  if (auto head = check_head(root, rules); !head) return std::unexpected(head.error());
  out.id = attribute(root, "ID");
  if (!out.response) {
    if (auto request = read_request(root, out); !request) return std::unexpected(request.error());
    return out;
  }
  out.in_response_to = attribute(root, "InResponseTo");
  const auto status = check_status(root);
  if (!status && status.error().reason != Reason::RefusedByProvider) return std::unexpected(status.error());
  out.success = status.has_value();
  return out;
}

SamlJudged<void> check_valid(const LogoutRules& rules) {
  const auto until = rules.provider.valid_until_wall_ns;
  if (until != 0 && rules.wall_ns >= until) return refuse(Reason::KeysUnavailable, "the provider's metadata is over its validUntil");
  return {};
}

}  // namespace

SamlJudged<SamlLogout> judge_redirected_logout(std::string_view query, const LogoutRules& rules) {
  if (auto valid = check_valid(rules); !valid) return std::unexpected(valid.error());
  const auto message = read_redirect(query, rules.provider.keys);
  if (!message) return std::unexpected(message.error());
  const auto document = parse_strict(message->xml, kMaxMessage);
  if (!document) return std::unexpected(document.error());
  auto* root = xmlDocGetRootElement(document->get());
  // The binding takes the signature out of the message and over the query.
  if (auto none = signatures_only_in(root, {}); !none) return std::unexpected(none.error());
  auto out = read_message(root, rules);
  if (!out) return out;
  if (out->response != message->response) return refuse(Reason::Malformed, "a request as a response, or the reverse");
  out->relay_state = message->relay_state;
  return out;
}

SamlJudged<SamlLogout> judge_posted_logout(std::string_view xml, const LogoutRules& rules) {
  if (auto valid = check_valid(rules); !valid) return std::unexpected(valid.error());
  const auto document = parse_strict(xml, kMaxMessage);
  if (!document) return std::unexpected(document.error());
  auto* root = xmlDocGetRootElement(document->get());
  if (auto places = signatures_only_in(root, {root}); !places) return std::unexpected(places.error());
  const auto whole = verified(root, rules.provider.keys);
  if (!whole) return std::unexpected(whole.error());
  return read_message(xmlDocGetRootElement(whole->get()), rules);
}

std::string write_logout_request(std::string_view id, const Self& self, const Provider& provider, const SamlNameId& name,
                                 std::string_view session_index, std::int64_t wall_ns) {
  std::string attributes;
  const std::pair<std::string_view, const std::string*> kParts[] = {
      {"NameQualifier", &name.name_qualifier}, {"SPNameQualifier", &name.sp_name_qualifier}, {"Format", &name.format}};
  for (const auto& [key, value] : kParts)
    if (!value->empty()) attributes += fmt::format(" {}=\"{}\"", key, markup_escaped(*value));
  auto out = fmt::format("<samlp:LogoutRequest xmlns:samlp=\"{}\" xmlns:saml=\"{}\" ID=\"{}\" Version=\"2.0\" IssueInstant=\"{}\" Destination=\"{}\" NotOnOrAfter=\"{}\">"
                         "<saml:Issuer>{}</saml:Issuer><saml:NameID{}>{}</saml:NameID>",
                         kProtocolNs, kAssertionNs, id, utc_text(wall_ns), markup_escaped(provider.slo_url), utc_text(wall_ns + kOldest), markup_escaped(self.entity_id),
                         attributes, markup_escaped(name.value));
  if (!session_index.empty()) out += fmt::format("<samlp:SessionIndex>{}</samlp:SessionIndex>", markup_escaped(session_index));
  return out + "</samlp:LogoutRequest>";
}

std::string write_logout_response(std::string_view id, const Self& self, const Provider& provider, std::string_view in_response_to,
                                  bool success, std::int64_t wall_ns) {
  return fmt::format("<samlp:LogoutResponse xmlns:samlp=\"{}\" xmlns:saml=\"{}\" ID=\"{}\" Version=\"2.0\" IssueInstant=\"{}\" Destination=\"{}\" InResponseTo=\"{}\">"
                     "<saml:Issuer>{}</saml:Issuer><samlp:Status><samlp:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:{}\"/></samlp:Status></samlp:LogoutResponse>",
                     kProtocolNs, kAssertionNs, id, utc_text(wall_ns), markup_escaped(provider.slo_answer_url), markup_escaped(in_response_to), markup_escaped(self.entity_id),
                     success ? "Success" : "Responder");
}

}  // namespace sallyport::identity::saml
