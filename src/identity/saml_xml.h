#pragma once
// XML as SAML needs it and no more: a small lexer lets through only UTF-8 without DTD, comments, CDATA and processing
// instructions, bounded in size, depth and attributes, before libxml2 builds the tree (no network, no entities). So what
// libxml2 sees is a subset on which parsers agree. Pure; a document belongs to one thread. Metadata, which is a file
// of the operator, may hold comments. Errors: a SamlRefusal whose detail is for the record, never for the client.
#include <libxml/tree.h>

#include <cstddef>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "identity/saml.h"

namespace sallyport::identity::saml {

inline constexpr std::string_view kProtocolNs = "urn:oasis:names:tc:SAML:2.0:protocol";
inline constexpr std::string_view kAssertionNs = "urn:oasis:names:tc:SAML:2.0:assertion";
inline constexpr std::string_view kMetadataNs = "urn:oasis:names:tc:SAML:2.0:metadata";
inline constexpr std::string_view kSignatureNs = "http://www.w3.org/2000/09/xmldsig#";
inline constexpr std::string_view kEncryptionNs = "http://www.w3.org/2001/04/xmlenc#";
inline constexpr std::string_view kExclusiveNs = "http://www.w3.org/2001/10/xml-exc-c14n#";

struct DocumentFree {
  void operator()(xmlDoc* document) const { xmlFreeDoc(document); }
};
using Document = std::unique_ptr<xmlDoc, DocumentFree>;
using Element = xmlNode*;

/// Keeps libxml2 from writing what a stranger sent to our standard error; it asks for that in each thread.
void quiet_libxml();

/// What came from a network. `most`: bytes.
SamlJudged<Document> parse_strict(std::string_view xml, std::size_t most);
/// The operator's metadata file: comments may stand in it, a DTD may not.
SamlJudged<Document> parse_file(std::string_view xml);

bool is(const xmlNode* node, std::string_view ns, std::string_view name);
std::vector<Element> children(const xmlNode* parent);
std::vector<Element> children(const xmlNode* parent, std::string_view ns, std::string_view name);
/// The one child of that name; nullptr when there is none or more than one.
Element only_child(const xmlNode* parent, std::string_view ns, std::string_view name);

/// An attribute without namespace.
bool has_attribute(const xmlNode* element, std::string_view name);
std::string attribute(const xmlNode* element, std::string_view name);

/// All of the element's text; refused when anything but text stands in it.
SamlJudged<std::string> whole_text_of(const xmlNode* element);
/// The same without white space at its ends.
SamlJudged<std::string> text_of(const xmlNode* element);
/// The same of the one child of that name.
SamlJudged<std::string> text_of(const xmlNode* parent, std::string_view ns, std::string_view name);

/// Depth-first, `root` first.
std::vector<Element> all_elements(xmlNode* root);

/// An ID that may stand in a reference: NCName of ASCII, at most 256 bytes.
bool is_id(std::string_view text);
/// No two ID attributes (in whatever case and namespace) have one value, and there is no xml:id.
SamlJudged<void> unique_ids(xmlDoc* document);


}  // namespace sallyport::identity::saml
