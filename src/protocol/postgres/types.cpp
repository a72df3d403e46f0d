#include "protocol/postgres/types.h"

#include <array>

#include "base/json.h"
#include "enforce/mask_style.h"
#include "protocol/postgres/wire.h"

namespace sallyport::protocol::postgres {
namespace {

using enforce::MaskWith;

struct Fixed {
  std::uint32_t oid;
  TypeKind kind;
  std::string_view text;    // the constant in text format
  std::string_view binary;  // and in binary; "" with text "" means NULL
};

using namespace std::string_view_literals;
constexpr auto kZero16 = "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"sv;
// Oids are fixed by PostgreSQL's pg_type.dat.
constexpr Fixed kTypes[] = {
    {16, TypeKind::Fixed, "f", "\0"sv},                                  // bool
    {17, TypeKind::Bytes, "\\x", ""},                                   // bytea
    {18, TypeKind::Fixed, "*", "*"},                                     // "char"
    {19, TypeKind::Text, "", ""},                                        // name
    {20, TypeKind::Number, "0", kZero16.substr(0, 8)},                   // int8
    {21, TypeKind::Number, "0", kZero16.substr(0, 2)},                   // int2
    {23, TypeKind::Number, "0", kZero16.substr(0, 4)},                   // int4
    {25, TypeKind::Text, "", ""},                                        // text
    {26, TypeKind::Number, "0", kZero16.substr(0, 4)},                   // oid
    {114, TypeKind::Json, "", ""},                                       // json
    {142, TypeKind::Xml, "", ""},                                        // xml
    {700, TypeKind::Number, "0", kZero16.substr(0, 4)},                  // float4
    {701, TypeKind::Number, "0", kZero16.substr(0, 8)},                  // float8
    {705, TypeKind::Text, "", ""},                                       // unknown
    {790, TypeKind::Fixed, "", ""},                                      // money: its text depends on lc_monetary
    {829, TypeKind::Fixed, "00:00:00:00:00:00", kZero16.substr(0, 6)},   // macaddr
    {774, TypeKind::Fixed, "00:00:00:00:00:00:00:00", kZero16.substr(0, 8)},  // macaddr8
    {869, TypeKind::Fixed, "0.0.0.0", "\2\x20\0\4\0\0\0\0"sv},           // inet
    {650, TypeKind::Fixed, "0.0.0.0/32", "\2\x20\1\4\0\0\0\0"sv},        // cidr
    {1042, TypeKind::Text, "", ""},                                      // bpchar
    {1043, TypeKind::Text, "", ""},                                      // varchar
    {1082, TypeKind::Fixed, "2000-01-01", kZero16.substr(0, 4)},         // date
    {1083, TypeKind::Fixed, "00:00:00", kZero16.substr(0, 8)},           // time
    {1114, TypeKind::Fixed, "2000-01-01 00:00:00", kZero16.substr(0, 8)},     // timestamp
    {1184, TypeKind::Fixed, "2000-01-01 00:00:00+00", kZero16.substr(0, 8)},  // timestamptz
    {1186, TypeKind::Fixed, "00:00:00", kZero16},                        // interval
    {1266, TypeKind::Fixed, "00:00:00+00", "\0\0\0\0\0\0\0\0\0\0\0\0"sv},     // timetz
    {1700, TypeKind::Number, "0", "\0\0\0\0\0\0\0\0"sv},                 // numeric
    {2249, TypeKind::Record, "", ""},                                    // record
    {2950, TypeKind::Fixed, "00000000-0000-0000-0000-000000000000", kZero16},  // uuid
    {3802, TypeKind::Jsonb, "", ""},                                     // jsonb
    {1002, TypeKind::TextArray, "", ""}, {1003, TypeKind::TextArray, "", ""}, {1009, TypeKind::TextArray, "", ""},   // char[], name[], text[]
    {1014, TypeKind::TextArray, "", ""}, {1015, TypeKind::TextArray, "", ""}, {199, TypeKind::TextArray, "", ""},    // bpchar[], varchar[], json[]
    {3807, TypeKind::TextArray, "", ""}, {143, TypeKind::TextArray, "", ""}, {2287, TypeKind::TextArray, "", ""},    // jsonb[], xml[], record[]
};

const Fixed* find(std::uint32_t type) {
  for (const auto& one : kTypes)
    if (one.oid == type) return &one;
  return nullptr;
}

/// An array of no dimension: what is legal for every array type.
std::string empty_array(std::uint32_t element) {
  std::string out;
  put_u32(out, 0);
  put_u32(out, 0);
  put_u32(out, element);
  return out;
}

bool mask_json(std::string_view text, const enforce::Masker& masker, enforce::MaskCounts& counts, std::string& out, bool& unclear) {
  auto document = json::Document::parse(std::string(text));
  if (!document) {
    // json keeps what it was given, duplicate keys for one: then it is a text like any other.
    out = text;
    if (masker.mask_text(out, counts)) return true;
    unclear = !is_utf8(text);
    return false;
  }
  json::Splice splice;
  masker.mask_json(document->root(), splice, counts);
  if (splice.empty()) return false;
  out = splice.apply(text);
  return true;
}

TypeKind kind_of_built_in(std::uint32_t type) {
  const auto* known = find(type);
  return known == nullptr ? TypeKind::Other : known->kind;
}

/// Binary array and record: elements with their oids and lengths; each is looked into and the whole put together again.
class Nested {
 public:
  Nested(const enforce::Masker& masker, enforce::MaskCounts& counts) : masker_(masker), counts_(counts) {}

  bool array(std::string_view value, std::string& out) {
    Cursor cursor(value);
    const auto dimensions = cursor.u32(), flags = cursor.u32(), element = cursor.u32();
    if (dimensions > 6) return false;
    put_u32(out, dimensions);
    put_u32(out, flags);
    put_u32(out, element);
    std::uint64_t count = dimensions == 0 ? 0 : 1;
    for (std::uint32_t i = 0; i < dimensions; ++i) {
      const auto size = cursor.u32();
      put_u32(out, size);
      put_u32(out, cursor.u32());
      count *= size;
      if (count > value.size()) return false;
    }
    for (std::uint64_t i = 0; i < count && cursor.ok(); ++i)
      if (!one(cursor, element, out)) return false;
    return cursor.done();
  }

  bool record(std::string_view value, std::string& out) {
    Cursor cursor(value);
    const auto columns = cursor.u32();
    put_u32(out, columns);
    for (std::uint32_t i = 0; i < columns && cursor.ok(); ++i) {
      const auto type = cursor.u32();
      put_u32(out, type);
      if (!one(cursor, type, out)) return false;
    }
    return cursor.done();
  }
  bool changed = false;

 private:
  bool one(Cursor& cursor, std::uint32_t type, std::string& out) {
    const auto length = cursor.i32();
    if (length < 0) {
      put_u32(out, 0xFFFFFFFFu);
      return length == -1;
    }
    const auto value = cursor.take(static_cast<std::size_t>(length));
    if (!cursor.ok() || ++depth_ > 32) return false;
    std::string masked;
    bool unclear = false;
    const bool found = detect_in_value(kind_of_built_in(type), true, value, masker_, counts_, masked, unclear);
    --depth_;
    if (unclear) return false;
    changed |= found;
    const std::string_view shown = found ? std::string_view(masked) : value;
    put_u32(out, static_cast<std::uint32_t>(shown.size()));
    out.append(shown);
    return true;
  }

  const enforce::Masker& masker_;
  enforce::MaskCounts& counts_;
  int depth_ = 0;
};

}  // namespace

TypeKind kind_of(std::uint32_t type, const sql::Schema* schema) {
  if (const auto* known = find(type)) return known->kind;
  if (schema == nullptr) return TypeKind::Other;
  for (int depth = 0; depth < 8; ++depth) {
    const auto at = schema->types.find(type);
    if (at == schema->types.end()) return TypeKind::Other;
    const auto& described = at->second;
    if (described.kind == 'd') {
      type = described.base;
      if (const auto* known = find(type)) return known->kind;
      continue;
    }
    if (described.kind == 'c') return TypeKind::Record;
    if (described.category == 'S') return TypeKind::Text;
    if (described.category == 'A') {
      const auto element = kind_of(described.element, schema);
      return element == TypeKind::Text || element == TypeKind::Json || element == TypeKind::Jsonb || element == TypeKind::Record ? TypeKind::TextArray : TypeKind::Array;
    }
    return TypeKind::Other;
  }
  return TypeKind::Other;
}

std::optional<std::string> masked_value(std::uint32_t type, TypeKind kind, bool binary, std::string_view value, MaskWith with) {
  if (with == MaskWith::Null) return std::nullopt;
  const auto* known = find(type);
  switch (kind) {
    case TypeKind::Text: return enforce::mask_whole(value, with);
    case TypeKind::Json: return json::quote(enforce::mask_whole("x", MaskWith::Redact));
    case TypeKind::Jsonb: return (binary ? "\1" : "") + json::quote(enforce::mask_whole("x", MaskWith::Redact));
    case TypeKind::Bytes: return binary ? std::string() : std::string("\\x");
    case TypeKind::TextArray:
    case TypeKind::Array: {
      if (!binary) return "{}";
      Cursor cursor(value);
      cursor.take(8);
      const auto element = cursor.u32();
      return cursor.ok() ? std::optional(empty_array(element)) : std::nullopt;
    }
    case TypeKind::Number:
    case TypeKind::Fixed:
      if (known == nullptr || known->text.empty()) return std::nullopt;
      return std::string(binary ? known->binary : known->text);
    case TypeKind::Record:
    case TypeKind::Xml:
    case TypeKind::Other: break;
  }
  return std::nullopt;
}

bool detect_in_value(TypeKind kind, bool binary, std::string_view value, const enforce::Masker& masker, enforce::MaskCounts& counts,
                     std::string& out, bool& unclear) {
  switch (kind) {
    case TypeKind::Text:
    case TypeKind::Xml:
      return masker.mask_view(value, out, counts);
    case TypeKind::Json: return mask_json(value, masker, counts, out, unclear);
    case TypeKind::Jsonb:
      if (!binary) return mask_json(value, masker, counts, out, unclear);
      if (value.empty() || value[0] != '\1') {
        unclear = true;
        return false;
      }
      if (!mask_json(value.substr(1), masker, counts, out, unclear)) return false;
      out.insert(out.begin(), '\1');
      return true;
    case TypeKind::TextArray:
    case TypeKind::Record: {
      // In text format the quotes and braces around a hit are no part of it.
      if (!binary) return masker.mask_view(value, out, counts);
      Nested nested(masker, counts);
      out.clear();
      const bool read = kind == TypeKind::Record ? nested.record(value, out) : nested.array(value, out);
      unclear = !read;
      return read && nested.changed;
    }
    case TypeKind::Number: {
      // A card number may stand as a number; nothing of it is kept, for a number with stars is none.
      std::string digits(binary ? "" : value);
      if (binary && value.size() == 8) {
        Cursor cursor(value);
        const std::uint64_t high = cursor.u32();
        digits = std::to_string(static_cast<std::int64_t>(high << 32 | cursor.u32()));
      }
      if (digits.size() < 12 || !masker.mask_view(digits, out, counts)) return false;
      out = binary ? std::string(8, '\0') : "0";
      return true;
    }
    case TypeKind::Bytes:
    case TypeKind::Array:
    case TypeKind::Fixed: return false;
    case TypeKind::Other:
      // An own type: its text is looked at as text; its binary form cannot be, unless it is text all the same.
      if (!binary) return masker.mask_view(value, out, counts);
      return is_utf8(value) && masker.mask_view(value, out, counts);
  }
  return false;
}

}  // namespace sallyport::protocol::postgres
