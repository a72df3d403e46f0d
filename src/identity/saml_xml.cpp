#include "identity/saml_xml.h"

#include <libxml/parser.h>
#include <libxml/xmlerror.h>

#include <algorithm>
#include <set>

namespace sallyport::identity::saml {
namespace {

constexpr int kMaxDepth = 40;
constexpr int kMaxAttributes = 32;  // of one tag; libxml2 compares each with each
constexpr int kMaxElements = 8192;
constexpr int kMaxNamespaces = 32;  // in scope at one element
constexpr std::size_t kMaxFile = 4u << 20;

const xmlChar* of(const char* text) { return reinterpret_cast<const xmlChar*>(text); }
std::string_view view(const xmlChar* text) { return text ? std::string_view(reinterpret_cast<const char*>(text)) : std::string_view(); }
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::unexpected<SamlRefusal> malformed(std::string detail) { return refuse(Reason::Malformed, std::move(detail)); }

/// The end of the tag that begins at `at`, or npos. Counts its attributes.
std::size_t end_of_tag(std::string_view xml, std::size_t at, int& attributes) {
  char quote = 0;
  for (++at; at < xml.size(); ++at) {
    const char c = xml[at];
    if (c == '<') return std::string_view::npos;  // never legal inside a tag, quoted or not
    if (quote != 0) {
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'') {
      quote = c;
      ++attributes;
    } else if (c == '>') {
      return at;
    }
  }
  return std::string_view::npos;
}

/// Markup as SAML messages use it: tags and text. Everything that begins with "<!" or "<?" is out, so this reads the
/// same as any XML parser does.
SamlJudged<void> only_tags(std::string_view xml) {
  if (xml.starts_with("<?xml ")) {
    const auto end = xml.find("?>");
    if (end == xml.npos || xml.substr(1, end).contains('<')) return malformed("the XML declaration has no end");
    xml.remove_prefix(end + 2);
  }
  int depth = 0, elements = 0;
  for (std::size_t at = xml.find('<'); at != xml.npos; at = xml.find('<', at)) {
    const char next = at + 1 < xml.size() ? xml[at + 1] : '\0';
    if (next == '!') return refuse(Reason::ForbiddenMarkup, "a DTD, comment or CDATA section");
    if (next == '?') return refuse(Reason::ForbiddenMarkup, "a processing instruction");
    int attributes = 0;
    const auto end = end_of_tag(xml, at, attributes);
    if (end == xml.npos) return malformed("a tag has no end");
    if (attributes > kMaxAttributes) return refuse(Reason::ForbiddenMarkup, "a tag has over 32 attributes");
    if (next == '/') --depth;
    else if (++elements; xml[end - 1] != '/') ++depth;
    if (depth > kMaxDepth || elements > kMaxElements) return refuse(Reason::ForbiddenMarkup, "over 8192 elements, or nested over 40 deep");
    at = end;
  }
  return {};
}

/// A second lock behind the lexer: a DTD stops the parser before anything of it is kept.
void no_dtd(void* context, const xmlChar*, const xmlChar*, const xmlChar*) {
  auto* parser = static_cast<xmlParserCtxtPtr>(context);
  parser->wellFormed = 0;
  xmlStopParser(parser);
}

struct ParserFree {
  void operator()(xmlParserCtxt* context) const { xmlFreeParserCtxt(context); }
};

#if LIBXML_VERSION >= 21200
void ignore(void*, const xmlError*) {}
#else
void ignore(void*, xmlError*) {}
#endif

SamlJudged<Document> build(std::string_view xml) {
  xmlInitParser();
  quiet_libxml();
  const std::unique_ptr<xmlParserCtxt, ParserFree> context(xmlNewParserCtxt());
  if (!context) return malformed("no memory for a parser");
  context->sax->internalSubset = no_dtd;
  context->sax->externalSubset = no_dtd;
  // UTF-8 whatever the declaration says: there is one reading of the bytes.
  constexpr int kOptions = XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_IGNORE_ENC;
  Document document(xmlCtxtReadMemory(context.get(), xml.data(), static_cast<int>(xml.size()), nullptr, "UTF-8", kOptions));
  if (!document || context->wellFormed != 1 || context->nsWellFormed != 1 || document->intSubset || document->extSubset) {
    return malformed("not well-formed XML with namespaces");
  }
  if (!xmlDocGetRootElement(document.get())) return malformed("no element");
  return document;
}

SamlJudged<void> plain_bytes(std::string_view xml, std::size_t most) {
  if (xml.size() > most) return refuse(Reason::ForbiddenMarkup, "larger than is accepted");
  if (!xml.starts_with('<')) return malformed("no XML");
  if (xml.contains('\0') || !xmlCheckUTF8(of(std::string(xml).c_str()))) return malformed("not UTF-8");
  return {};
}

/// Canonical form looks prefixes up in all that is in scope, at each element, before any signature is checked.
SamlJudged<void> few_namespaces(xmlDoc* document) {
  for (const auto* element : all_elements(xmlDocGetRootElement(document))) {
    if (!element->nsDef) continue;
    int in_scope = 0;
    for (const auto* around = element; around && around->type == XML_ELEMENT_NODE; around = around->parent)
      for (const auto* one = around->nsDef; one; one = one->next) ++in_scope;
    if (in_scope > kMaxNamespaces) return refuse(Reason::ForbiddenMarkup, "over 32 name spaces at one place");
  }
  return {};
}

}  // namespace

void quiet_libxml() { xmlSetStructuredErrorFunc(nullptr, ignore); }

SamlJudged<Document> parse_strict(std::string_view xml, std::size_t most) {
  if (auto plain = plain_bytes(xml, most); !plain) return std::unexpected(plain.error());
  if (auto tags = only_tags(xml); !tags) return std::unexpected(tags.error());
  auto document = build(xml);
  if (!document) return document;
  if (auto few = few_namespaces(document->get()); !few) return std::unexpected(few.error());
  if (auto ids = unique_ids(document->get()); !ids) return std::unexpected(ids.error());
  return document;
}

SamlJudged<Document> parse_file(std::string_view xml) {
  if (xml.starts_with("\xEF\xBB\xBF")) xml.remove_prefix(3);
  if (auto plain = plain_bytes(xml, kMaxFile); !plain) return std::unexpected(plain.error());
  return build(xml);
}

bool is(const xmlNode* node, std::string_view ns, std::string_view name) {
  return node && node->type == XML_ELEMENT_NODE && node->ns && view(node->ns->href) == ns && view(node->name) == name;
}

std::vector<Element> children(const xmlNode* parent) {
  std::vector<Element> out;
  for (auto* child = parent->children; child; child = child->next)
    if (child->type == XML_ELEMENT_NODE) out.push_back(child);
  return out;
}

std::vector<Element> children(const xmlNode* parent, std::string_view ns, std::string_view name) {
  auto out = children(parent);
  std::erase_if(out, [&](const xmlNode* child) { return !is(child, ns, name); });
  return out;
}

Element only_child(const xmlNode* parent, std::string_view ns, std::string_view name) {
  const auto found = children(parent, ns, name);
  return found.size() == 1 ? found.front() : nullptr;
}

bool has_attribute(const xmlNode* element, std::string_view name) {
  return xmlHasNsProp(const_cast<xmlNode*>(element), of(std::string(name).c_str()), nullptr) != nullptr;
}

std::string attribute(const xmlNode* element, std::string_view name) {
  auto* value = xmlGetNoNsProp(const_cast<xmlNode*>(element), of(std::string(name).c_str()));
  std::string out(view(value));
  if (value) xmlFree(value);
  return out;
}

SamlJudged<std::string> whole_text_of(const xmlNode* element) {
  std::string out;
  for (const auto* child = element->children; child; child = child->next) {
    if (child->type != XML_TEXT_NODE) return refuse(Reason::ForbiddenMarkup, "something that is no text in " + std::string(view(element->name)));
    out += view(child->content);
  }
  return out;
}

SamlJudged<std::string> text_of(const xmlNode* element) {
  auto whole = whole_text_of(element);
  if (!whole) return whole;
  auto& out = *whole;
  const auto first = std::ranges::find_if_not(out, is_space);
  out.erase(out.begin(), first);
  while (!out.empty() && is_space(out.back())) out.pop_back();
  return whole;
}

SamlJudged<std::string> text_of(const xmlNode* parent, std::string_view ns, std::string_view name) {
  const auto* child = only_child(parent, ns, name);
  if (!child) return malformed("not exactly one " + std::string(name));
  return text_of(child);
}

std::vector<Element> all_elements(xmlNode* root) {
  std::vector<Element> out;
  for (auto* node = root; node;) {
    if (node->type == XML_ELEMENT_NODE) out.push_back(node);
    if (node->type == XML_ELEMENT_NODE && node->children) {
      node = node->children;
      continue;
    }
    while (node != root && !node->next) node = node->parent;
    node = node == root ? nullptr : node->next;
  }
  return out;
}

bool is_id(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (text.empty() || text.size() > 256 || !letter(text.front())) return false;
  return std::ranges::all_of(text, [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '.'; });
}

SamlJudged<void> unique_ids(xmlDoc* document) {
  std::set<std::string> seen;
  for (auto* element : all_elements(xmlDocGetRootElement(document))) {
    for (auto* one = element->properties; one; one = one->next) {
      const auto name = view(one->name);
      if (name.size() != 2 || (name[0] | 0x20) != 'i' || (name[1] | 0x20) != 'd') continue;
      if (one->ns) return refuse(Reason::DuplicateId, "an ID attribute with a namespace");
      auto* raw = xmlNodeGetContent(reinterpret_cast<xmlNode*>(one));
      const std::string value(view(raw));
      if (raw) xmlFree(raw);
      if (!seen.insert(value).second) return refuse(Reason::DuplicateId, "the ID " + clean(value) + " stands twice");
    }
  }
  return {};
}

}  // namespace sallyport::identity::saml
