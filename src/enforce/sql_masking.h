#pragma once
// How the results of one SQL statement are masked: which columns, by which rule, and detectors on the rest. Decided by the
// Gate from the rules that apply and the catalog's snapshot; shared, immutable. The protocol asks it value by value.
// Caches live in the Gate of one worker; used on its thread only.
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "enforce/mask.h"
#include "enforce/policy.h"
#include "sql/lineage.h"

namespace sallyport::enforce {

struct SqlMasking {
  std::shared_ptr<const Masker> masker;                 // detectors on every text
  std::vector<const MaskRule*> rules;                   // by the index that columns and flow use
  std::shared_ptr<const sql::MaskedColumns> columns;    // null: no rule names columns or types
  std::shared_ptr<const sql::Flow> flow;                // null as columns
  bool whole = false;                                   // what the server does not trace to a table is masked whole

  bool none() const { return masker->empty() && !columns; }
  /// The rule for a result column, nullptr when it is shown. `table` and `number` as RowDescription has them, 0 for none.
  const MaskRule* column(std::uint32_t table, std::int16_t number, std::size_t position, const std::string& name) const;
};
using SqlMaskingPtr = std::shared_ptr<const SqlMasking>;

/// What was worked out for one set of mask rules on one snapshot of a catalog.
class SqlMaskings {
 public:
  /// nullptr with the reason in `why_not` when the statement cannot be followed and the rules do not say to mask it whole.
  SqlMaskingPtr find(const std::vector<const MaskRule*>& rules, std::shared_ptr<const Masker> masker, const sql::AnalysisPtr& analysis,
                     const sql::SchemaPtr& schema, std::string& why_not);
  void clear() { sets_.clear(); }

 private:
  struct Set {
    sql::SchemaPtr schema;
    std::vector<const MaskRule*> columns_of;            // rules that name columns or types
    std::shared_ptr<const sql::MaskedColumns> columns;
    std::unordered_map<const sql::Analysis*, std::pair<sql::AnalysisPtr, SqlMaskingPtr>> known;
  };
  std::map<std::vector<const MaskRule*>, Set> sets_;
};

}  // namespace sallyport::enforce
