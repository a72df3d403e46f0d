#pragma once
// What may stand in place of a masked value, by PostgreSQL type and format: text by the rule's style, numbers and the other
// built-in types by a constant that is legal for them, everything else by NULL (docs/protocols/postgres.md has the table).
// Also detectors over the texts within a value: strings, json, arrays and records, in both formats. Pure; worker's thread.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "enforce/mask.h"
#include "sql/schema.h"

namespace sallyport::protocol::postgres {

enum class TypeKind : std::uint8_t { Text, Json, Jsonb, Bytes, Number, TextArray, Array, Record, Xml, Fixed, Other };
/// By built-in oid, else by what the catalog says of it (domains count as their base, enums and others are Other).
TypeKind kind_of(std::uint32_t type, const sql::Schema* schema);

/// The value that a column rule puts in place of `value`; nullopt is NULL.
std::optional<std::string> masked_value(std::uint32_t type, TypeKind kind, bool binary, std::string_view value, enforce::MaskWith with);

/// True and the masked value in `out` when a detector found something in it. False and `unclear` set when the value is not
/// what its type says: it must not be shown.
bool detect_in_value(TypeKind kind, bool binary, std::string_view value, const enforce::Masker& masker, enforce::MaskCounts& counts,
                     std::string& out, bool& unclear);

}  // namespace sallyport::protocol::postgres
