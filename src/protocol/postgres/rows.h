#pragma once
// Masks the rows of one result: which columns a rule names is decided once from the RowDescription and the statement's
// lineage, then each DataRow passes unchanged or is rebuilt. Made by a session for one result; worker's thread.
// A row that is not what it says is Malformed and must not be shown.
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "enforce/sql_masking.h"
#include "protocol/postgres/types.h"
#include "protocol/postgres/wire.h"

namespace sallyport::protocol::postgres {

class RowMask {
 public:
  /// nullptr when nothing can be masked in such rows. `formats` as Bind asked for them; empty takes the description's own.
  static std::unique_ptr<RowMask> make(enforce::SqlMaskingPtr masking, sql::SchemaPtr schema, const std::vector<Field>& fields,
                                       const std::vector<std::int16_t>& formats);

  /// Appends the whole message for a DataRow's body to `out`, masked. Returns false, with `out` as it was, when nothing had to be.
  Result<bool> apply(std::string_view body, enforce::MaskCounts& counts, std::string& out);

 private:
  struct Column {
    const enforce::MaskRule* rule = nullptr;
    enforce::MaskWith with = enforce::MaskWith::Redact;
    std::string count_key;      // "rule:column"
    std::uint32_t type = 0;
    TypeKind kind = TypeKind::Other;
    bool binary = false;
  };
  enforce::SqlMaskingPtr masking_;
  sql::SchemaPtr schema_;
  std::vector<Column> columns_;
  std::string scratch_;
};

/// The same for COPY TO, whose rows have no description: columns by position in the statement's list.
class CopyMask {
 public:
  /// Errors: Denied when the columns cannot be told (COPY of a query with *, of a table without a list whose columns are
  /// not known): such a COPY must not begin.
  static Result<std::unique_ptr<CopyMask>> make(enforce::SqlMaskingPtr masking, const sql::Analysis& analysis, sql::SchemaPtr schema);

  /// One CopyData body, which holds whole rows, as servers send them. Appends the message to `out`.
  Result<bool> apply(std::string_view body, enforce::MaskCounts& counts, std::string& out);

 private:
  Result<bool> text(std::string_view body, enforce::MaskCounts& counts, std::string& out);
  Result<bool> csv(std::string_view body, enforce::MaskCounts& counts, std::string& out);
  Result<bool> binary(std::string_view body, enforce::MaskCounts& counts, std::string& out);
  const enforce::MaskRule* rule(std::size_t column) const { return column < columns_.size() ? columns_[column] : nullptr; }

  enforce::SqlMaskingPtr masking_;
  std::vector<const enforce::MaskRule*> columns_;
  std::vector<std::uint32_t> types_;   // 0: not known
  sql::SchemaPtr schema_;
  enum class Format { Text, Csv, Binary } format_ = Format::Text;
  char delimiter_ = '\t', quote_ = '"', escape_ = '"';
  std::string null_;
  /// What stands for a value in text; nullopt is NULL. A value that a query made, be it from a masked one alone, has a type that
  /// nobody tells here, and it is not known which part of it identifies: it is NULL.
  std::optional<std::string> masked(const enforce::MaskRule& rule, std::size_t column, std::string_view value) const;
  bool header_ = false, begun_ = false;
};

}  // namespace sallyport::protocol::postgres
