#include "identity/saml_assertion.h"

#include <algorithm>
#include <map>
#include <optional>

#include "identity/claims.h"

namespace sallyport::identity::saml {
namespace {

constexpr std::int64_t kHour = 3600LL * 1'000'000'000;
constexpr std::int64_t kOldest = kHour;          // of an assertion, whatever it says itself: the memory of used ones has an end
constexpr std::int64_t kLongest = 24 * kHour;    // of what it is good for
constexpr std::string_view kBearer = "urn:oasis:names:tc:SAML:2.0:cm:bearer";
constexpr std::string_view kTransient = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient";

/// A space at an end is no difference that a person would see between two accounts or groups, so there is none.
bool is_name(std::string_view text) { return is_plain_name(text) && text.front() != ' ' && text.back() != ' '; }

SamlJudged<std::optional<std::int64_t>> time_attribute(const xmlNode* element, std::string_view name) {
  if (!has_attribute(element, name)) return std::optional<std::int64_t>();
  const auto time = time_of(attribute(element, name));
  if (!time) return std::unexpected(time.error());
  return std::optional(*time);
}

/// NotBefore and NotOnOrAfter against now; the end, when there is one.
SamlJudged<std::optional<std::int64_t>> check_window(const xmlNode* element, const ResponseRules& rules, std::string_view what) {
  const auto leeway = leeway_of(rules.config);
  const auto from = time_attribute(element, "NotBefore");
  if (!from) return from;
  if (*from && **from > rules.wall_ns + leeway) return refuse(Reason::NotYetValid, std::string(what) + " is not valid yet");
  const auto until = time_attribute(element, "NotOnOrAfter");
  if (!until) return until;
  if (*until && rules.wall_ns >= **until + leeway) return refuse(Reason::Expired, std::string(what) + " is over");
  return *until;
}

/// The audiences of one restriction: one of them must be us.
SamlJudged<void> check_audience(const xmlNode* restriction, const ResponseRules& rules) {
  bool ours = false;
  std::string seen;
  for (const auto* child : children(restriction)) {
    if (!is(child, kAssertionNs, "Audience")) return refuse(Reason::BadConditions, "something else than an Audience in an AudienceRestriction");
    const auto text = text_of(child);
    if (!text) return std::unexpected(text.error());
    ours = ours || *text == rules.self.entity_id;
    seen = *text;
  }
  if (!ours) return refuse(Reason::WrongAudience, "Audience " + clean(seen));
  return {};
}

SamlJudged<void> check_conditions(const xmlNode* assertion, const ResponseRules& rules) {
  const auto* conditions = only_child(assertion, kAssertionNs, "Conditions");
  if (!conditions) return refuse(Reason::BadConditions, "not exactly one Conditions");
  if (auto window = check_window(conditions, rules, "the assertion"); !window) return std::unexpected(window.error());
  bool restricted = false;
  for (const auto* child : children(conditions)) {
    if (is(child, kAssertionNs, "OneTimeUse") || is(child, kAssertionNs, "ProxyRestriction")) continue;
    // What is not understood makes an assertion's validity unknown (core §2.5.1.1), and unknown is not allowed.
    if (!is(child, kAssertionNs, "AudienceRestriction")) return refuse(Reason::BadConditions, "a condition that is not understood");
    if (auto audience = check_audience(child, rules); !audience) return audience;
    restricted = true;
  }
  if (!restricted) return refuse(Reason::WrongAudience, "no AudienceRestriction");
  return {};
}

/// InResponseTo of the confirmation, when everything about it is right.
SamlJudged<std::string> check_bearer(const xmlNode* confirmation, const ResponseRules& rules) {
  if (attribute(confirmation, "Method") != kBearer) return refuse(Reason::BadConfirmation, "no bearer confirmation");
  const auto* data = only_child(confirmation, kAssertionNs, "SubjectConfirmationData");
  if (!data) return refuse(Reason::BadConfirmation, "not exactly one SubjectConfirmationData");
  if (attribute(data, "Recipient") != rules.self.acs_url) return refuse(Reason::WrongRecipient, "Recipient " + clean(attribute(data, "Recipient")));
  const auto until = check_window(data, rules, "the confirmation");
  if (!until) return std::unexpected(until.error());
  if (!*until) return refuse(Reason::NoExpiry, "the confirmation has no NotOnOrAfter");
  if (!has_attribute(data, "InResponseTo")) {
    if (!rules.config.idp_initiated) return refuse(Reason::WrongRequest, "no InResponseTo, and idp_initiated is off");
    return std::string();
  }
  const auto request = attribute(data, "InResponseTo");
  if (std::ranges::find(rules.outstanding, request) == rules.outstanding.end()) return refuse(Reason::WrongRequest, "InResponseTo " + clean(request));
  return request;
}

SamlJudged<std::string> check_subject(const xmlNode* subject, const ResponseRules& rules, const std::string& response_to) {
  SamlJudged<std::string> answer = refuse(Reason::BadConfirmation, "no SubjectConfirmation");
  for (const auto* confirmation : children(subject, kAssertionNs, "SubjectConfirmation")) {
    answer = check_bearer(confirmation, rules);
    if (answer) break;
  }
  if (answer && !response_to.empty() && response_to != *answer) return refuse(Reason::WrongRequest, "the Response answers " + clean(response_to) + ", its assertion does not");
  return answer;
}

SamlJudged<void> read_session(const xmlNode* assertion, const ResponseRules& rules, SamlIdentity& out) {
  const auto statements = children(assertion, kAssertionNs, "AuthnStatement");
  if (statements.empty()) return refuse(Reason::BadConditions, "no AuthnStatement: nobody signed in");
  out.expires_wall_ns = rules.wall_ns + kLongest;
  for (const auto* one : statements) {
    const auto instant = time_of(attribute(one, "AuthnInstant"));
    if (!instant) return std::unexpected(instant.error());
    if (*instant > rules.wall_ns + leeway_of(rules.config)) return refuse(Reason::NotYetValid, "AuthnInstant is in the future");
    const auto until = time_attribute(one, "SessionNotOnOrAfter");
    if (!until) return std::unexpected(until.error());
    if (*until && rules.wall_ns >= **until) return refuse(Reason::Expired, "the provider's session is over");
    if (*until) out.expires_wall_ns = std::min(out.expires_wall_ns, **until);
    if (out.session_index.empty()) out.session_index = attribute(one, "SessionIndex");
  }
  if (out.session_index.size() > 256) return refuse(Reason::Malformed, "a SessionIndex of over 256 bytes");
  return {};
}

/// The values of each attribute that the configuration names; others may hold whatever they like.
SamlJudged<std::map<std::string, std::vector<std::string>>> read_attributes(const xmlNode* assertion, const SamlConfig& config) {
  std::map<std::string, std::vector<std::string>> out;
  for (const auto* name : {&config.subject_attribute, &config.email_attribute, &config.name_attribute, &config.groups_attribute})
    if (!name->empty()) out[*name];
  for (const auto* statement : children(assertion, kAssertionNs, "AttributeStatement")) {
    if (!children(statement, kAssertionNs, "EncryptedAttribute").empty()) return refuse(Reason::BadAttributes, "an EncryptedAttribute is not read");
    for (const auto* one : children(statement, kAssertionNs, "Attribute")) {
      const auto wanted = out.find(attribute(one, "Name"));
      if (wanted == out.end()) continue;
      for (const auto* value : children(one)) {
        if (!is(value, kAssertionNs, "AttributeValue")) return refuse(Reason::BadAttributes, "something else than an AttributeValue in an Attribute");
        auto text = whole_text_of(value);
        if (!text) return std::unexpected(text.error());
        if (!text->empty()) wanted->second.push_back(std::move(*text));
      }
    }
  }
  return out;
}

SamlJudged<void> set_subject(const std::vector<std::string>* values, const SamlConfig& config, SamlIdentity& out) {
  if (values) {
    if (values->size() != 1) return refuse(Reason::BadSubject, "not exactly one value of the attribute " + clean(config.subject_attribute));
    out.subject = values->front();
  } else {
    // A transient name is another one each time: nobody could be recognised by it.
    if (out.name_id.format == kTransient) return refuse(Reason::BadSubject, "a transient NameID; name an attribute as subject");
    if (!out.name_id.name_qualifier.empty() && out.name_id.name_qualifier != out.issuer) return refuse(Reason::BadSubject, "a NameID of another NameQualifier");
    out.subject = out.name_id.value;
  }
  if (!is_name(out.subject)) return refuse(Reason::BadSubject, "a subject that is empty, over 256 bytes, begins or ends with a space or has control characters");
  return {};
}

SamlJudged<void> read_claims_of(const xmlNode* assertion, const SamlConfig& config, SamlIdentity& out) {
  auto values = read_attributes(assertion, config);
  if (!values) return std::unexpected(values.error());
  const auto* subject = config.subject_attribute.empty() ? nullptr : &(*values)[config.subject_attribute];
  if (auto good = set_subject(subject, config, out); !good) return good;
  if (!config.email_attribute.empty()) {
    const auto& emails = (*values)[config.email_attribute];
    if (emails.size() > 1 || !std::ranges::all_of(emails, is_name)) return refuse(Reason::BadAttributes, "not one plain e-mail address");
    if (!emails.empty()) out.email = emails.front();
  }
  if (!config.name_attribute.empty()) {
    const auto& names = (*values)[config.name_attribute];
    if (names.size() == 1 && is_name(names.front())) out.name = names.front();
  }
  if (!config.groups_attribute.empty()) out.groups = (*values)[config.groups_attribute];
  if (!std::ranges::all_of(out.groups, is_name)) return refuse(Reason::BadGroups, "a group that is over 256 bytes, begins or ends with a space or has control characters");
  std::ranges::sort(out.groups);
  out.groups.erase(std::unique(out.groups.begin(), out.groups.end()), out.groups.end());
  return {};
}

SamlJudged<void> check_age(const xmlNode* assertion, const ResponseRules& rules, SamlIdentity& out) {
  const auto issued = time_of(attribute(assertion, "IssueInstant"));
  if (!issued) return std::unexpected(issued.error());
  const auto leeway = leeway_of(rules.config);
  if (*issued > rules.wall_ns + leeway) return refuse(Reason::NotYetValid, "issued in the future");
  if (rules.wall_ns >= *issued + kOldest + leeway) return refuse(Reason::Expired, "issued over an hour ago");
  out.assertion_until_wall_ns = *issued + kOldest + leeway;
  return {};
}

}  // namespace

SamlJudged<SamlIdentity> read_assertion(const xmlNode* assertion, const ResponseRules& rules, const std::string& response_to) {
  if (!is(assertion, kAssertionNs, "Assertion") || attribute(assertion, "Version") != "2.0") return refuse(Reason::Malformed, "no SAML 2.0 assertion");
  const auto id = attribute(assertion, "ID");
  if (!is_id(id)) return refuse(Reason::Malformed, "an assertion without a usable ID");
  SamlIdentity out;
  if (auto issuer = check_issuer(assertion, rules.provider, true); !issuer) return std::unexpected(issuer.error());
  out.issuer = rules.provider.entity_id;
  out.assertion = sha256(as_bytes(out.issuer + '\n' + id));
  if (auto age = check_age(assertion, rules, out); !age) return std::unexpected(age.error());
  if (auto conditions = check_conditions(assertion, rules); !conditions) return std::unexpected(conditions.error());
  const auto* subject = only_child(assertion, kAssertionNs, "Subject");
  if (!subject) return refuse(Reason::BadSubject, "not exactly one Subject");
  auto request = check_subject(subject, rules, response_to);
  if (!request) return std::unexpected(request.error());
  out.in_response_to = std::move(*request);
  auto name = read_name_id(subject);
  if (!name) return std::unexpected(name.error());
  out.name_id = std::move(*name);
  if (auto session = read_session(assertion, rules, out); !session) return std::unexpected(session.error());
  if (auto claims = read_claims_of(assertion, rules.config, out); !claims) return std::unexpected(claims.error());
  return out;
}

}  // namespace sallyport::identity::saml
