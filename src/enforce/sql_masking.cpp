#include "enforce/sql_masking.h"

namespace sallyport::enforce {

const MaskRule* SqlMasking::column(std::uint32_t table, std::int16_t number, std::size_t position, const std::string& name) const {
  if (!columns) return nullptr;
  int rule = -1;
  // A whole row has its table and no column: where its values go is the flow's to say, as for expressions.
  if (table != 0 && number != 0) {
    rule = columns->rule(table, number);
  } else {
    rule = flow->of(position, name);
    if (rule < 0 && whole) rule = 0;
  }
  return rule < 0 ? nullptr : rules[static_cast<std::size_t>(rule)];
}

SqlMaskingPtr SqlMaskings::find(const std::vector<const MaskRule*>& rules, std::shared_ptr<const Masker> masker, const sql::AnalysisPtr& analysis,
                                const sql::SchemaPtr& schema, std::string& why_not) {
  constexpr std::size_t kMost = 4096;
  auto& set = sets_[rules];
  if (set.schema != schema) {
    set = {};
    set.schema = schema;
    for (const auto* rule : rules)
      if (!rule->columns.empty() || !rule->types.empty()) set.columns_of.push_back(rule);
  }
  if (const auto at = set.known.find(analysis.get()); at != set.known.end()) return at->second.second;
  auto out = std::make_shared<SqlMasking>();
  out->masker = std::move(masker);
  if (analysis->copies_out && analysis->statements > 1 && (!out->masker->empty() || !set.columns_of.empty())) {
    why_not = "values are masked on this target, and COPY among several statements cannot be followed: send it alone";
    return nullptr;
  }
  if (!set.columns_of.empty()) {
    if (!schema) {
      why_not = "columns are masked on this target, and its catalog cannot be read";
      return nullptr;
    }
    if (!set.columns) {
      std::vector<std::vector<sql::ColumnPattern>> patterns;
      std::vector<std::vector<std::string>> types;
      for (const auto* rule : set.columns_of) {
        patterns.push_back(rule->columns);
        types.push_back(rule->types);
      }
      set.columns = sql::masked_columns(*schema, patterns, types);
    }
    out->rules = set.columns_of;
    out->columns = set.columns;
    out->flow = std::make_shared<const sql::Flow>(sql::follow(*analysis, *schema, *set.columns));
    out->whole = out->flow->unfollowed;
    const bool mask_whole = std::ranges::all_of(set.columns_of, &MaskRule::mask_unfollowed);
    if (out->flow->stores || (out->flow->unfollowed && !mask_whole)) {
      why_not = fmt::format("columns are masked on this target, and this cannot be followed: {}", fmt::join(out->flow->why, "; "));
      return nullptr;
    }
    if (analysis->copies_out && !analysis->outputs.empty() && !out->flow->positional && (out->flow->touches || out->whole)) {
      why_not = "columns are masked on this target, and COPY of a query with * cannot be followed: name the columns";
      return nullptr;
    }
  }
  if (set.known.size() >= kMost) set.known.clear();
  set.known[analysis.get()] = {analysis, out};
  return out;
}

}  // namespace sallyport::enforce
