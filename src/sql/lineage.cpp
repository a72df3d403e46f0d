#include "sql/lineage.h"

#include <algorithm>

namespace sallyport::sql {

bool ColumnPattern::matches(const Table& in, const Column& of) const {
  return (schema == "*" || schema == in.schema) && (table == "*" || table == in.name) && (column == "*" || column == of.name);
}

std::string ColumnPattern::parse(std::string_view text, ColumnPattern& out) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == '.') parts.emplace_back();
    else parts.back() += c;
  }
  if (parts.size() == 2) parts.insert(parts.begin(), "*");
  const bool good = parts.size() == 3 && std::ranges::none_of(parts, &std::string::empty);
  if (!good) return "a column is named schema.table.column or table.column, with * for any; \"" + std::string(text) + "\" is neither";
  out = {parts[0], parts[1], parts[2]};
  return "";
}

namespace {

constexpr std::string_view kStatistics[] = {"pg_stats", "pg_statistic", "pg_stats_ext", "pg_stats_ext_exprs", "pg_statistic_ext_data"};

bool is_system_column(const std::string& name) {
  return name == "ctid" || name == "xmin" || name == "xmax" || name == "cmin" || name == "cmax" || name == "tableoid";
}

/// One run over one text: sets grow until nothing changes.
class Spread {
 public:
  Spread(const Analysis& text, const Schema& schema, const MaskedColumns& masked) : text_(text), schema_(schema) {
    for (const auto& relation : text.relations) read(relation, schema, masked);
    count_aliases();
    for (const auto& alias : text.aliases)
      for (const auto& column : alias.columns) known_.insert(column);
    for (const auto& item : text.items)
      if (!item.name.empty()) known_.insert(item.name);
    constexpr int kRounds = 64;
    int rounds = 0;
    while (grow())
      if (++rounds == kRounds) {
        lost_ = true;
        break;
      }
  }

  bool touched() const { return !rows_.empty(); }
  int any() const { return any_; }
  const std::map<std::string, int>& names() const { return names_; }

  /// The rule of what the item holds, -1 for clean.
  int of(const Item& item) const {
    if (rows_.empty()) return -1;
    if (lost_ && (!item.names.empty() || !item.qualified.empty())) return any_;
    if (everything_ >= 0 && !item.names.empty()) return everything_;
    for (const auto& name : item.names) {
      if (const auto at = names_.find(name); at != names_.end()) return at->second;
      if (const auto at = rows_.find(name); at != rows_.end()) return at->second;
    }
    for (const auto& [qualifier, name] : item.qualified)
      if (const int rule = of(qualifier, name); rule >= 0) return rule;
    return -1;
  }

  /// Whether the columns behind a star may have any name: a row of a type, not of a relation.
  bool is_open(const Item& item) const {
    if (!item.star) return false;
    if (item.of_value) return of(item) >= 0;
    return std::ranges::any_of(item.qualified, [&](const auto& one) { return one.first.empty() ? !open_rows_.empty() : open_rows_.contains(one.first); });
  }

  /// The type of the column that the item is and nothing else, 0 when the text does not say.
  std::uint32_t type_of(const Item& item, const MaskedColumns& masked) const {
    if (!item.plain || item.names.size() + item.qualified.size() != 1) return 0;
    if (std::ranges::any_of(text_.aliases, [](const auto& alias) { return !alias.items.empty() || !alias.columns.empty(); })) return 0;
    const auto& name = item.names.empty() ? item.qualified[0].second : item.names[0];
    std::uint32_t type = 0;
    bool one = true;
    for (const auto& relation : text_.relations)
      schema_.each(relation.schema, relation.name, [&](const Table& table) {
        for (const auto& column : table.columns)
          if (column.name == name && masked.rule(table.oid, column.number) >= 0) {
            one = one && (type == 0 || type == column.type) && !masked.derived.contains({table.oid, column.number});
            type = column.type;
          }
      });
    return one ? type : 0;
  }

  int everything() const { return lost_ ? any_ : everything_; }

 private:
  struct Known {
    std::map<std::string, int> masked;
    std::set<std::string> plain;
  };

  void read(const Relation& relation, const Schema& schema, const MaskedColumns& masked) {
    Known known;
    bool statistics = std::ranges::find(kStatistics, relation.name) != std::end(kStatistics);
    if (statistics && masked.tables.empty()) statistics = false;
    schema.each(relation.schema, relation.name, [&](const Table& table) {
      for (const auto& column : table.columns) {
        const int rule = statistics ? 0 : masked.rule(table.oid, column.number);
        if (rule >= 0) known.masked[column.name] = rule;
        else known.plain.insert(column.name);
      }
    });
    if (statistics && known.masked.empty()) {
      known.masked["*"] = 0;
      everything_ = 0;
      open_rows_.insert(relation.name);
    }
    if (known.masked.empty()) {
      plain_relations_.insert(relation.name);
      known_.insert(known.plain.begin(), known.plain.end());
      return;
    }
    const int rule = known.masked.begin()->second;
    any_ = any_ < 0 ? rule : any_;
    rows_[relation.name] = rule;
    names_.insert(known.masked.begin(), known.masked.end());
    known_.insert(known.plain.begin(), known.plain.end());
    relations_[relation.name] = std::move(known);
  }

  void count_aliases() {
    for (const auto& alias : text_.aliases) {
      ++alias_count_[alias.name];
      if (alias.renames && alias.columns.empty()) stands_for_[alias.name] = alias.inside[0];
    }
  }

  /// The one relation that a qualifier can only mean, or "".
  std::string relation_of(const std::string& qualifier) const {
    const auto count = alias_count_.find(qualifier);
    if (count == alias_count_.end()) return relations_.contains(qualifier) || plain_relations_.contains(qualifier) ? qualifier : "";
    if (count->second != 1 || relations_.contains(qualifier) || plain_relations_.contains(qualifier)) return "";
    const auto at = stands_for_.find(qualifier);
    return at == stands_for_.end() || alias_count_.contains(at->second) ? "" : at->second;
  }

  int of(const std::string& qualifier, const std::string& name) const {
    const auto row = rows_.find(qualifier);
    if (name == "*") {
      if (qualifier.empty()) return any_;
      return row == rows_.end() ? -1 : row->second;
    }
    if (row != rows_.end() && open_rows_.contains(qualifier)) return row->second;
    const auto relation = relation_of(qualifier);
    if (!relation.empty() && plain_relations_.contains(relation) && !rows_.contains(relation)) return -1;
    if (const auto exact = relations_.find(relation); exact != relations_.end()) {
      const auto at = exact->second.masked.find(name);
      if (at != exact->second.masked.end()) return at->second;
      if (exact->second.plain.contains(name) || is_system_column(name)) return -1;
      return row == rows_.end() ? exact->second.masked.begin()->second : row->second;  // function notation: see below
    } else if (const auto at = names_.find(name); at != names_.end()) {
      return at->second;
    }
    // row.function is function(row) to PostgreSQL: a name that is no known column takes the whole row.
    if (row != rows_.end() && !is_system_column(name) && (!known_.contains(name) || schema_.own_functions.contains(name))) return row->second;
    return -1;
  }

  static bool add(std::map<std::string, int>& to, const std::string& name, int rule) { return !name.empty() && to.try_emplace(name, rule).second; }

  bool grow() {
    bool changed = false;
    for (const auto& alias : text_.aliases) changed |= grow(alias);
    return changed;
  }

  /// What an alias makes known: that its rows hold masked values, and under which names.
  bool grow(const Alias& alias) {
    int rule = -1;
    bool open = false, stars = false;
    for (const auto index : alias.items) {
      rule = std::max(rule, of(text_.items[index]));
      open = open || is_open(text_.items[index]);
      stars = stars || text_.items[index].star;
    }
    for (const auto& inside : alias.inside)
      if (const auto at = rows_.find(inside); at != rows_.end()) {
        rule = std::max(rule, at->second);
        open = open || open_rows_.contains(inside);
      }
    if (rule < 0) return false;
    bool changed = add(rows_, alias.name, rule);
    const bool one_branch = alias.items.size() == alias.width;
    open = open || alias.any_column || (stars && !one_branch);
    if (open) {
      changed |= open_rows_.insert(alias.name).second || everything_ < 0;
      everything_ = std::max(everything_, rule);
    }
    const bool by_position = alias.inside.empty() && !stars && alias.width > 0 && alias.items.size() % alias.width == 0 && alias.columns.size() <= alias.width;
    if (by_position) {
      for (std::size_t i = 0; i < alias.items.size(); ++i) {
        const auto column = i % alias.width;
        const int own = of(text_.items[alias.items[i]]);
        if (own >= 0) changed |= add(names_, column < alias.columns.size() ? alias.columns[column] : text_.items[alias.items[column]].name, own);
      }
      return changed;
    }
    for (const auto& column : alias.columns) changed |= add(names_, column, rule);
    for (const auto index : alias.items)
      if (const auto& item = text_.items[index]; !item.star && (!one_branch || of(item) >= 0)) changed |= add(names_, item.name, rule);
    return changed;
  }

  const Analysis& text_;
  const Schema& schema_;
  std::map<std::string, Known> relations_;      // with masked columns
  std::set<std::string> plain_relations_;
  std::map<std::string, int> names_, rows_;     // columns and rows that hold masked values, by name
  std::set<std::string> open_rows_;             // of those rows, whose columns may have any name
  std::set<std::string> known_;                 // names of columns that are there
  std::map<std::string, int> alias_count_;
  std::map<std::string, std::string> stands_for_;
  int any_ = -1;
  int everything_ = -1;  // rows are read whose columns nobody knows: every unqualified name may be one of them
  bool lost_ = false;    // too many names that stand for names
};

void outputs_of(const Analysis& text, const Spread& spread, const MaskedColumns& masked, Flow& flow) {
  flow.positional = text.results <= 1;
  for (const auto& branch : text.outputs)
    for (const auto index : branch) flow.positional = flow.positional && !text.items[index].star;
  if (!flow.positional) flow.names = spread.names();
  for (const auto& branch : text.outputs) {
    flow.columns.resize(std::max(flow.columns.size(), branch.size()), -1);
    flow.types.resize(flow.columns.size());
    for (std::size_t i = 0; i < branch.size(); ++i) {
      const auto& item = text.items[branch[i]];
      const int rule = spread.of(item);
      flow.columns[i] = std::max(flow.columns[i], rule);
      if (rule >= 0 && text.outputs.size() == 1) flow.types[i] = spread.type_of(item, masked);
      if (flow.positional || rule < 0) continue;
      // Of several branches the first one gives the names; of several results nobody knows which is which.
      if (text.outputs.size() > 1 || spread.is_open(item) || item.name.empty() != item.star) flow.anonymous = std::max(flow.anonymous, rule);
      else if (!item.star) flow.names.try_emplace(item.name, rule);
    }
  }
  if (!flow.positional) flow.anonymous = std::max(flow.anonymous, spread.everything());
}

/// True when that column is masked in every table that the text may write to.
bool stays_masked(const Analysis& text, const Schema& schema, const MaskedColumns& masked, const std::string& column) {
  bool some = false, all = true;
  for (const auto& relation : text.relations) {
    if (!relation.written) continue;
    schema.each(relation.schema, relation.name, [&](const Table& table) {
      bool here = false;
      for (const auto& one : table.columns) here = here || (one.name == column && masked.rule(table.oid, one.number) >= 0);
      some = true;
      all = all && here;
    });
  }
  return some && all;
}

}  // namespace

Flow follow(const Analysis& analysis, const Schema& schema, const MaskedColumns& masked) {
  Flow flow;
  if (masked.tables.empty()) return flow;
  const Spread spread(analysis, schema, masked);
  flow.touches = spread.touched();
  flow.any = spread.any();
  for (const auto& call : analysis.calls) {
    if (schema.is_known(call)) continue;
    flow.unfollowed = true;
    flow.why.push_back("function " + call);
  }
  for (const auto& name : analysis.functions) {
    const auto bare = name.substr(name.rfind('.') + 1);
    if (!schema.own_functions.contains(bare) || std::ranges::find(analysis.calls, name) != analysis.calls.end()) continue;
    flow.unfollowed = true;
    flow.why.push_back("function " + name + ", which the database also has one of its own for");
  }
  for (const auto& name : hidden_calls(analysis, schema)) {
    flow.unfollowed = true;
    flow.why.push_back("function " + name + ", called as if it were a column");
  }
  for (const auto& name : analysis.operators) {
    if (!schema.own_operators.contains(name)) continue;
    flow.unfollowed = true;
    flow.why.push_back("operator " + name + ", which the database has one of its own for");
  }
  for (const auto& verb : analysis.verbs) {
    if (verb != "do" && verb != "call" && verb != "unknown") continue;
    flow.unfollowed = true;
    flow.why.push_back(verb == "do" ? "a DO block" : verb == "call" ? "a procedure" : "a statement of an unknown kind");
  }
  if (!flow.touches) return flow;
  for (const auto& store : analysis.stores) {
    const auto& item = analysis.items[store.item];
    const int rule = spread.of(item);
    if (rule < 0 || stays_masked(analysis, schema, masked, store.column)) continue;
    flow.stores = true;
    flow.why.push_back(store.column.empty() ? "a masked value kept in another table" : "a masked value kept in column " + store.column);
  }
  outputs_of(analysis, spread, masked, flow);
  return flow;
}

std::shared_ptr<const MaskedColumns> masked_columns(const Schema& schema, const std::vector<std::vector<ColumnPattern>>& patterns,
                                                    const std::vector<std::vector<std::string>>& types) {
  auto out = std::make_shared<MaskedColumns>();
  const auto type_name = [&](std::uint32_t oid) {
    const auto at = schema.types.find(oid);
    return at == schema.types.end() ? std::string() : at->second.name;
  };
  for (const auto& table : schema.tables)
    for (const auto& column : table.columns)
      for (std::size_t rule = 0; rule < patterns.size(); ++rule) {
        const bool named = std::ranges::any_of(patterns[rule], [&](const auto& pattern) { return pattern.matches(table, column); });
        const bool system = table.schema == "pg_catalog" || table.schema == "information_schema";
        const bool typed = !system && !types[rule].empty() && std::ranges::find(types[rule], type_name(column.type)) != types[rule].end();
        if (named || typed) out->tables[table.oid].try_emplace(column.number, static_cast<std::uint32_t>(rule));
      }
  if (out->tables.empty()) return out;
  // Children have their parents' columns by name; views show what their queries hold. Both until nothing changes.
  for (bool changed = true; std::exchange(changed, false);) {
    for (const auto& table : schema.tables) {
      for (const auto oid : table.parents) {
        const auto* parent = schema.find(oid);
        const auto masked = out->tables.find(oid);
        if (parent == nullptr || masked == out->tables.end()) continue;
        const auto rules = masked->second;
        for (const auto& column : parent->columns)
          if (const auto at = rules.find(column.number); at != rules.end())
            for (const auto& own : table.columns)
              if (own.name == column.name) changed |= out->tables[table.oid].try_emplace(own.number, at->second).second;
      }
      if (table.definition.empty()) continue;
      const auto analysis = analyse(table.definition);
      const auto flow = analysis ? follow(**analysis, schema, *out) : Flow{};
      for (std::size_t i = 0; i < table.columns.size(); ++i) {
        int rule = flow.of(i, table.columns[i].name);
        // A view that cannot be read, or that calls what may read anything, shows nothing of itself.
        if (!analysis || flow.unfollowed) rule = 0;
        if (rule < 0) continue;
        const auto number = table.columns[i].number;
        changed |= out->tables[table.oid].try_emplace(number, static_cast<std::uint32_t>(rule)).second;
        const bool same = flow.positional && i < flow.types.size() && flow.types[i] != 0;
        if (!same) changed |= out->derived.insert({table.oid, number}).second;
      }
    }
  }
  return out;
}

std::vector<std::string> hidden_calls(const Analysis& analysis, const Schema& schema) {
  std::vector<std::string> out;
  for (const auto& [qualifier, name] : analysis.columns) {
    if (qualifier.empty() || !schema.own_functions.contains(name)) continue;
    bool column = false;
    for (const auto& relation : analysis.relations)
      schema.each(relation.schema, relation.name, [&](const Table& table) {
        column = column || ((qualifier == relation.name || qualifier == relation.alias) && std::ranges::find(table.columns, name, &Column::name) != table.columns.end());
      });
    if (!column) out.push_back(name);
  }
  for (const auto& name : analysis.fields)
    if (schema.own_functions.contains(name)) out.push_back(name);
  return out;
}

std::string unknown_relation(const Analysis& analysis, const Schema& schema) {
  if (analysis.defines) return "";
  for (const auto& relation : analysis.relations) {
    bool known = false;
    schema.each(relation.schema, relation.name, [&](const Table&) { known = true; });
    if (!known) return (relation.schema.empty() ? "" : relation.schema + ".") + relation.name;
  }
  return "";
}

std::vector<std::string> table_names(const Analysis& analysis, const Schema* schema, bool read, bool written) {
  std::vector<std::string> out;
  const auto add = [&](std::string name) {
    if (std::ranges::find(out, name) == out.end()) out.push_back(std::move(name));
  };
  for (const auto& relation : analysis.relations) {
    if (relation.written ? !written : !read) continue;
    bool known = false;
    if (schema != nullptr)
      schema->each(relation.schema, relation.name, [&](const Table& table) {
        known = true;
        add(table.full_name());
      });
    if (!known) add((relation.schema.empty() ? "" : relation.schema + ".") + relation.name);
  }
  return out;
}

std::vector<std::string> column_names(const Analysis& analysis, const Schema* schema) {
  std::vector<std::string> out;
  const auto add = [&](std::string name) {
    if (std::ranges::find(out, name) == out.end()) out.push_back(std::move(name));
  };
  for (const auto& [qualifier, name] : analysis.columns) {
    bool known = false;
    if (schema != nullptr)
      for (const auto& relation : analysis.relations)
        schema->each(relation.schema, relation.name, [&](const Table& table) {
          for (const auto& column : table.columns)
            if (name == "*" || name == column.name) {
              known = true;
              add(table.full_name() + "." + column.name);
            }
        });
    if (!known) add((qualifier.empty() ? "" : qualifier + ".") + name);
  }
  std::ranges::sort(out);
  return out;
}

}  // namespace sallyport::sql
