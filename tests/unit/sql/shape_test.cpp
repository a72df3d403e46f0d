// The shape lexer against the parser: texts of one shape have the same facts and the same lineage, over more than twenty
// thousand statements with literals of every form.
#include "sql/shapes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <random>
#include <unordered_map>

namespace sallyport::sql {
namespace {

/// Every fact and all lineage of an Analysis as one text.
std::string everything(const Analysis& a) {
  std::string out = fmt::format("{} {}|{}|{}|{}|{}{}{}{}{}{}{}|", a.results, a.verb, fmt::join(a.verbs, ","), to_string(a.weight), a.statements, a.has_where, a.has_limit, a.explains, a.control, a.effect_free, a.begins, a.defines);
  for (const auto& r : a.relations) out += fmt::format("{}.{} {} {};", r.schema, r.name, r.alias, r.written);
  for (const auto& [q, n] : a.columns) out += q + "." + n + ";";
  out += fmt::format("{}|{}|{}|{}|{}|{}|{}|{}|{}|", fmt::join(a.fields, ","), fmt::join(a.functions, ","), fmt::join(a.settings, ","), fmt::join(a.calls, ","), fmt::join(a.operators, ","), a.executes, a.prepares, a.fetches, a.declares);
  for (const auto& item : a.items) {
    out += fmt::format("[{} {} {} {} {}", item.name, item.star, item.plain, item.of_value, fmt::join(item.names, ","));
    for (const auto& [q, n] : item.qualified) out += " " + q + "." + n;
    out += "]";
  }
  for (const auto& alias : a.aliases) out += fmt::format("({} {} {} {} {} {} {})", alias.width, alias.any_column, alias.renames, alias.name, fmt::join(alias.columns, ","), fmt::join(alias.items, ","), fmt::join(alias.inside, ","));
  for (const auto& branch : a.outputs) out += fmt::format("<{}>", fmt::join(branch, ","));
  for (const auto& store : a.stores) out += fmt::format("{}={};", store.column, store.item);
  return out;
}

class Texts {
 public:
  std::string next() {
    static const std::vector<std::string> kForms = {
        "select {} from t where id = {}", "SELECT a, b FROM t WHERE a = {} AND b > {} LIMIT {}", "select * from t order by {} offset {}", "insert into t values ({}, {}, {})",
        "insert into t (a, b) values ({}, {}), ({}, {}), ({}, {})", "update t set a = {}, b = {} where id = {}", "delete from t where id in ({}, {}, {})", "select {}::int, {}::text, cast({} as numeric)",
        "select date {}, interval {}, timestamp {}", "select a from t where b like {} escape {}", "select a from \"Odd\"\"Name\" where \"col {}\" = {}", "select $1, {} from t where x = $2",
        "select array[{}, {}], row({}, {})", "select case when a = {} then {} else {} end from t", "select count(*) filter (where a > {}) from t group by {}", "with x as (select {}) select * from x",
        "select lower({}) || {} from t", "select a from t union all select {}", "select\ta\n from t where a={}", "select a from t where a = -{} and b = +{}", "select -- {}\n a from t", "select /* {} */ a from t",
        "select a.b.c from t where x between {} and {}", "select t.{} from t", "select a{} from t", "select {} {} from t", "select set_config({}, {}, false)", "select nextval({})", "insert into t select {} from o returning {}",
        "select a from t; select {}", "select {};", "select a[{}] from t", "select a->{} from t", "select a from t where (a, b) = ({}, {})", "select {} as \"x\", {} y from t", "update t set a = default where b is distinct from {}",
        "select a from t where b ~ {} and c @> {} and d ? {}", "selectx {}", "select{} from t", "delete from t using o where t.id = o.id and o.x = {} returning *", "select exists (select from t where a = {})",
    };
    std::string form = kForms[pick(kForms.size())], out;
    for (std::size_t at = 0; at < form.size(); ++at) {
      if (form.compare(at, 2, "{}") == 0) {
        out += literal();
        ++at;
      } else {
        out += form[at];
      }
    }
    return out;
  }

 private:
  std::size_t pick(std::size_t n) { return random_() % n; }
  std::string literal() {
    switch (pick(26)) {
      case 0: case 1: case 2: case 3: case 4: case 5: return std::to_string(pick(100'000));
      case 6: return fmt::format("{}.{}", pick(100), pick(1000));
      case 7: return fmt::format("{}e{}", pick(100), pick(20));
      case 8: return fmt::format("1.5E-{}", pick(9) + 1);
      case 9: case 10: case 11: case 12: return fmt::format("'text {}'", pick(1000));
      case 13: return "'it''s'";
      case 14: return "''";
      case 15: return "'gr\xC3\xBC\xC3\x9F" "e'";
      case 16: return "'back\\slash'";
      case 17: return "E'new\\nline'";
      case 18: return "U&'d\\0061t'";
      case 19: return "B'101'";
      case 20: return "X'1F'";
      case 21: return "$$dollar$$";
      case 22: return "$tag$'$tag$";
      case 23: return "N'n'";
      case 24: return "99999999999999999999";
      default: return fmt::format(".{}", pick(100));
    }
  }
  std::mt19937 random_{20261121};
};

TEST(Shape, TextsOfOneShapeHaveTheSameFactsAndLineage) {
  Texts texts;
  std::unordered_map<std::string, std::pair<std::string, std::string>> first;  // shape -> text, everything
  std::size_t shaped = 0, parsed = 0;
  std::string shape;
  for (int i = 0; i < 24'000; ++i) {
    const auto text = texts.next();
    if (!shape_of(text, shape)) continue;
    ++shaped;
    const auto analysis = analyse(text);
    // The server refuses such a text whatever was concluded from another of its shape: nothing happens.
    if (!analysis) continue;
    ++parsed;
    if ((*analysis)->by_text) continue;  // never kept by shape
    const auto all = everything(**analysis);
    const auto [at, fresh] = first.try_emplace(shape, text, all);
    if (!fresh) ASSERT_EQ(at->second.second, all) << at->second.first << "\n" << text;
  }
  EXPECT_GT(shaped, 10'000u);
  EXPECT_GT(parsed, 8'000u);
}

TEST(Shape, WhatTheLexerIsNotSureOfIsItsOwnShape) {
  std::string shape;
  for (const auto* text : {"select E'a'", "select U&'a'", "select $$a$$", "select 'a\\'", "select 1 -- x", "select /* x */ 1", "select 1a", "select 1.2.3", "select 'a'b", "select 'open", "select \"open", "select \xC3\xBC", "select x'1'", "copy t to stdout",
                           "with x as (select 1) select 1", "set a = 1", "select $", "select $a", "select 1e", "select 1..2"})
    EXPECT_FALSE(shape_of(text, shape)) << text;
  ASSERT_TRUE(shape_of("select 1, 'a''b', x1 from t where y = $1", shape));
  EXPECT_EQ(shape, "select \x02, \x03, x1 from t where y = $1");
}

TEST(Shape, AShapeIsFoundAgainAndAnotherTextCannotPoseAsOne) {
  Shapes shapes;
  const auto one = shapes.find("select a from t where id = 1");
  ASSERT_TRUE(one);
  EXPECT_EQ((*shapes.find("select a from t where id = 2")).get(), one->get());
  EXPECT_EQ(shapes.hits(), 1u);
  EXPECT_FALSE(shapes.find("select a from t where id = \x02"));
  ASSERT_TRUE(shapes.find("select set_config('role', 'x', false)"));
  EXPECT_EQ((*shapes.find("select set_config('work_mem', 'x', false)"))->weight, Class::Session);
}

}  // namespace
}  // namespace sallyport::sql
