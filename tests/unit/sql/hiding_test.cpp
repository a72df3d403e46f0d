// Statements that try to hide what they do: each effect in each place where the grammar lets one stand must be seen.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>

#include <fmt/format.h>

#include "sql/lineage.h"
#include "sql/shapes.h"

namespace sallyport::sql {
namespace {

AnalysisPtr of(const std::string& text) {
  auto out = analyse(text);
  EXPECT_TRUE(out) << text << ": " << (out ? "" : out.error().what);
  return out ? *out : std::make_shared<const Analysis>();
}
bool has(const std::vector<std::string>& list, std::string_view word) { return std::ranges::find(list, word) != list.end(); }
std::string put(std::string form, const std::string& what) {
  for (auto at = form.find("{}"); at != std::string::npos; at = form.find("{}", at + what.size())) form.replace(at, 2, what);
  return form;
}

TEST(Hiding, AChangeOfRowsIsSeenWhereverItStands) {
  const std::array<std::array<std::string, 2>, 7> kChanges = {{
      {"delete from t", "delete"}, {"delete from only public.t where id = 1", "delete"}, {"update t set a = 1", "update"},
      {"insert into t values (1)", "insert"}, {"insert into t default values", "insert"}, {"DELETE FROM \"t\" USING o", "delete"}, {"insert into t select 1 on conflict do nothing", "insert"},
  }};
  const std::array kForms = {
      "{}", "with x as ({} returning 1) select * from x", "with recursive x as ({} returning 1) select 1", "with a as (select 1), x as ({} returning *) select * from a, x",
      "explain analyze {}", "explain (analyze) {}", "explain (analyze true, verbose) {}", "explain (verbose, analyze on, costs off) {}", "EXPLAIN ANALYSE {}", "explain (analyze 1) {}",
      "prepare p as {}", "select 1; {}", "{}; select 1", ";;{};", "/* select */ {}", "--\n{}", "copy ({} returning *) to stdout",
      "copy (with x as ({} returning *) select * from x) to stdout", "with x as ({} returning 1) insert into o select * from x",
      "with x as ({} returning 1) update o set a = 1 where id in (select * from x)", "explain analyze with x as ({} returning 1) select * from x",
      "declare c cursor for with x as ({} returning 1) select * from x", "begin; {}; commit", "with x as (with y as ({} returning 1) select * from y) select * from x",
      "select * from (with x as ({} returning 1) select * from x) q", "create table n as with x as ({} returning 1) select * from x",
      "create rule r as on insert to o do also {}", "select 1 where exists (with x as ({} returning 1) select * from x)",
  };
  std::size_t count = 0;
  for (const auto& [change, verb] : kChanges)
    for (const auto* form : kForms) {
      const auto text = put(form, change);
      const auto seen = of(text);
      ++count;
      EXPECT_TRUE(has(seen->verbs, verb)) << text;
      EXPECT_GE(seen->weight, Class::Write) << text;
      EXPECT_FALSE(seen->effect_free) << text;
      EXPECT_FALSE(seen->control) << text;
      EXPECT_TRUE(std::ranges::any_of(seen->relations, [](const auto& relation) { return relation.name == "t" && relation.written; })) << text;
    }
  EXPECT_GE(count, 190u);
  // Planned and not run: nothing changes.
  EXPECT_EQ(of("explain delete from t")->weight, Class::Read);
  EXPECT_EQ(of("explain (analyze false) delete from t")->weight, Class::Read);
}

TEST(Hiding, AFunctionIsSeenWhereverItIsCalled) {
  const std::array kCalls = {"lo_export(1, '/x')", "pg_read_file('/etc/passwd')", "pg_reload_conf()", "public.mine(1)", "pg_terminate_backend(1)", "dblink('x', 'y')", "query_to_xml('delete from t', true, true, '')", "pg_catalog.pg_switch_wal()"};
  const std::array kForms = {
      "select {}", "select 1 where {} is null", "select 1 order by {}", "select 1 limit length({}::text)", "select 1 offset length({}::text)", "select * from {} q", "select * from t, lateral {} q",
      "select case when true then {} end", "insert into t values ({})", "insert into t select {}", "update t set a = {} where id = 1", "delete from t where id = length({}::text)",
      "insert into t values (1) returning {}", "insert into t values (1) on conflict (id) do update set a = {}", "with x as (select {}) select 1", "values ({})", "select count(*) filter (where {} is null) from t",
      "select sum(1) over (order by {}) from t", "select array_agg(1 order by {}) from t", "select 1 from t join o on {} is null", "select 1 from t group by {}", "select 1 from t group by a having {} is null",
      "select (array[1])[length({}::text)]", "select array[{}]", "select row({})", "select coalesce(null, {})", "select greatest({}, null)", "explain analyze select {}", "prepare p as select {}",
      "declare c cursor for select {}", "copy (select {}) to stdout", "select (select {})", "select exists (select {})", "select 1 union select length({}::text)", "select {}::text", "select distinct on ({}) 1",
      "execute p({})", "select * from rows from ({}) q", "select * from t tablesample bernoulli (length({}::text))", "create table n as select {}", "create view v as select {}",
  };
  for (const auto* call : kCalls)
    for (const auto* form : kForms) {
      const auto text = put(form, call);
      const auto seen = of(text);
      EXPECT_FALSE(seen->calls.empty()) << text;
      EXPECT_FALSE(seen->effect_free) << text;
      EXPECT_EQ(seen->weight, Class::Unknown) << text;
    }
}

TEST(Hiding, ChangesOfRoleFilesProgramsAndBlocksAreTheirOwnClasses) {
  const std::array<std::pair<const char*, Class>, 47> kTexts = {{
      {"set role postgres", Class::Dcl}, {"reset role", Class::Dcl}, {"set session authorization x", Class::Dcl}, {"set local role x", Class::Dcl}, {"select set_config('role', 'x', false)", Class::Dcl},
      {"select pg_catalog.set_config('session_authorization', 'x', true)", Class::Dcl}, {"grant all on t to x", Class::Dcl}, {"revoke all on t from x", Class::Dcl}, {"grant a to b", Class::Dcl},
      {"create role x superuser", Class::Dcl}, {"create user x", Class::Dcl}, {"alter role x superuser", Class::Dcl}, {"alter role x set work_mem = 1", Class::Dcl}, {"drop role x", Class::Dcl},
      {"alter system set x = 1", Class::Dcl}, {"alter default privileges grant select on tables to x", Class::Dcl}, {"reassign owned by a to b", Class::Dcl}, {"drop owned by a", Class::Dcl},
      {"create policy p on t", Class::Dcl}, {"alter table t owner to x", Class::Ddl}, {"security label on table t is 'x'", Class::Dcl},
      {"copy t to program 'x'", Class::Unknown}, {"copy t from program 'x'", Class::Unknown}, {"copy t to '/x'", Class::Unknown}, {"copy t from '/x'", Class::Unknown}, {"copy (select 1) to program 'x'", Class::Unknown},
      {"do $$ begin delete from t; end $$", Class::Unknown}, {"do language plpgsql 'begin end'", Class::Unknown}, {"call f()", Class::Unknown}, {"load 'x'", Class::Unknown}, {"checkpoint", Class::Unknown},
      {"create table t (a int)", Class::Ddl}, {"select * into n from t", Class::Ddl}, {"create table n as select 1", Class::Ddl}, {"drop table t", Class::Ddl}, {"truncate t", Class::Write}, {"lock table t", Class::Write},
      {"select * from t for update", Class::Write}, {"select * from t for key share", Class::Write}, {"copy t from stdin", Class::Write}, {"notify c", Class::Write}, {"vacuum t", Class::Ddl},
      {"merge into t using o on t.id = o.id when matched then delete", Class::Write}, {"refresh materialized view v", Class::Ddl},
      {"select nextval('s')", Class::Write}, {"select 1 where pg_notify('c', 'x') is null", Class::Write}, {"select lo_creat(-1)", Class::Write},
  }};
  for (const auto& [text, weight] : kTexts) EXPECT_GE(of(text)->weight, weight) << text << ": " << to_string(of(text)->weight);
  EXPECT_TRUE(has(of("merge into t using o on true when not matched then insert values (1)")->verbs, "insert"));
}

TEST(Hiding, AConditionThatHoldsForEveryRowIsNone) {
  for (const auto* text : {"delete from t", "delete from t where true", "delete from t where 1 = 1", "update t set a = 1 where not false", "with x as (delete from t returning 1) select * from x where x.a = 1",
                           "delete from t where id = 1; delete from o"})
    EXPECT_FALSE(of(text)->has_where) << text;
  for (const auto* text : {"delete from t where id = 1", "update t set a = 1 where b in (select 1)", "delete from t where current of c"}) EXPECT_TRUE(of(text)->has_where) << text;
}

TEST(Hiding, WhatCannotBeParsedOrIsTooDeepIsRefusedAndNothingFalls) {
  EXPECT_FALSE(analyse("selct 1"));
  EXPECT_FALSE(analyse(std::string("select 1\0; delete from t", 24)));
  EXPECT_FALSE(analyse("select '\xff'"));
  std::string deep = "select 1";
  for (int i = 0; i < 1'000'000; ++i) deep += "+1";
  EXPECT_FALSE(analyse(deep));
  EXPECT_FALSE(analyse("select " + std::string(100'000, '(') + "1" + std::string(100'000, ')')));
  EXPECT_EQ(of("")->statements, 0u);
  EXPECT_EQ(of("-- nothing")->statements, 0u);
}

// ---- masked columns ------------------------------------------------------------------------------------------------

Schema shop() {
  Schema schema;
  const auto add = [&](std::uint32_t oid, std::string in, std::string name, std::vector<std::string> columns, char kind = 'r', std::string definition = "") {
    Table table;
    table.oid = oid;
    table.schema = std::move(in);
    table.name = std::move(name);
    table.kind = kind;
    table.definition = std::move(definition);
    for (auto& column : columns) table.columns.push_back({std::move(column), static_cast<std::int16_t>(table.columns.size() + 1), 25, false});
    schema.by_oid[oid] = schema.tables.size();
    schema.by_name.emplace(table.name, schema.tables.size());
    schema.tables.push_back(std::move(table));
  };
  add(1, "public", "customers", {"id", "name", "ssn", "doc"});
  add(2, "public", "orders", {"id", "customer_id", "name", "text", "value"});
  add(3, "public", "buyers", {"id", "code"}, 'v', " SELECT customers.id, upper(customers.ssn) AS code FROM customers;");
  add(4, "pg_temp_3", "same", {"s", "code"}, 'v', " SELECT c.ssn AS s, b.code FROM customers c, buyers b;");
  schema.own_functions = {"leak", "secret_of"};
  return schema;
}

TEST(Lineage, AMaskedColumnIsFollowedThroughEveryForm) {
  const auto schema = shop();
  ColumnPattern pattern;
  ASSERT_EQ(ColumnPattern::parse("public.customers.ssn", pattern), "");
  const auto masked = masked_columns(schema, {{pattern}}, {{}});
  ASSERT_EQ(masked->rule(1, 3), 0);
  ASSERT_EQ(masked->rule(3, 2), 0) << "a view shows what its query holds";
  ASSERT_EQ(masked->rule(3, 1), -1);
  EXPECT_EQ(masked->rule(4, 1), 0);
  EXPECT_EQ(masked->derived, (std::set<std::pair<std::uint32_t, std::int16_t>>{{3, 2}, {4, 2}})) << "which part of what was made identifies is not known";
  // The first column of each is made from ssn, and the server does not say so.
  for (const auto* text : {
           "select ssn || 'x' from customers", "select upper(ssn) from customers", "select ssn::varchar from customers", "select c from customers c", "select row_to_json(c) from customers c", "select c.row_to_json from customers c",
           "select customers from customers", "select customers.text from customers", "select (c).ssn from customers c", "select string_agg(ssn, ',') from customers", "select min(ssn) from customers", "select array_agg(ssn) from customers",
           "select unnest(array_agg(ssn)) from customers", "select ssn from customers union select name from orders", "select name from orders union all select ssn from customers", "select name from orders except select ssn from customers",
           "with x as (select ssn s from customers) select s || '' from x", "with x(a) as (select ssn from customers) select a || '' from x", "with recursive x as (select ssn from customers union select ssn from x) select ssn || '' from x",
           "select text from (select (ssn || '')::text from customers) q", "select q.text from (select (ssn || '')::text from customers) q, orders", "select \"?column?\" from (select ssn || '' from customers) q", "select upper from (select upper(ssn) from customers) q",
           "select \"case\" from (select case when true then ssn || '' end from customers) q", "select \"coalesce\" from (select coalesce(ssn, '') from customers) q", "select x || '' from (select ssn from customers) q(x)", "select x from (select upper(ssn) from customers) q(x)",
           "select q from (select ssn from customers) q", "select row_to_json(q) from (select * from customers) q", "select q.* from (select upper(ssn) from customers) q", "select * from (select upper(ssn) from customers) q", "select coalesce(null, ssn) from customers",
           "select case when id > 0 then ssn end || '' from customers", "select value from customers c, json_each_text(row_to_json(c))", "select v from customers c, json_each_text(row_to_json(c)) as e(k, v)", "select key from customers c, json_each_text(row_to_json(c)) e",
           "select code || '' from buyers", "select b from buyers b", "select (select ssn from customers limit 1) || ''", "select array(select ssn from customers)", "select exists (select from customers where ssn = '1')", "select ssn = '1' from customers",
           "select first_value(ssn) over () || '' from customers", "select format('%s', ssn) from customers", "select j.ssn || '' from (customers join orders using (id)) j", "select j.a || '' from (customers join orders using (id)) j(x, y, a)",
           "select ssn || '' from customers natural join orders", "select xmlelement(name a, ssn) from customers", "select s || '' from customers, lateral (select ssn) l(s)", "select u from customers, unnest(array[ssn]) u", "select nullif(ssn, '') || '' from customers",
           "update customers set name = 'x' returning ssn || ''", "insert into customers values (1) returning upper(ssn)", "delete from customers returning (customers).ssn || ''", "select substring(ssn from 1 for 3) from customers", "values ((select ssn from customers limit 1))",
           "select column1 || '' from (values ((select ssn from customers limit 1))) v", "select histogram_bounds::text from pg_stats", "select max(s) from (select ssn as s from customers) q group by s", "select c2.ssn || '' from customers c1 join customers c2 on true",
           "select to_jsonb(customers.*) from customers", "select json_agg(c.*) from customers c", "select row(c.*)::text from customers c", "select row(ssn) from customers", "select greatest(ssn, 'a') from customers", "select ssn collate \"C\" || '' from customers"}) {
    const auto flow = follow(*of(text), schema, *masked);
    EXPECT_TRUE(flow.touches) << text;
    const auto first = of(text)->outputs.empty() || of(text)->outputs[0].empty() ? std::string() : of(text)->items[of(text)->outputs[0][0]].name;
    const bool star = !flow.positional;
    EXPECT_GE(flow.of(0, star ? "upper" : first), 0) << text;
  }
  // Where the names of the columns come from elsewhere: the first branch of a UNION, a function's row type, a type behind (row).*.
  for (const auto* text : {
           "select name || '' from (select name from orders union select ssn from customers) q", "select n || '' from (select 1 as i, name as n from orders union all select id, ssn from customers) q",
           "select q.n || '' from (select name as n from orders except select ssn from customers) q", "with x as (select name as n from orders union select ssn from customers) select n || '' from x",
           "with recursive x(n) as (select name from orders union select ssn from customers, x) select n || '' from x", "select anything from json_populate_record(null::other, (select to_json(c) from customers c))",
           "select r.anything from json_populate_recordset(null::other, (select json_agg(c) from customers c)) r", "select anything || '' from customers c, jsonb_to_record(to_jsonb(c)) as r(anything text)",
           "select foo from (select (r).* from (select row(ssn)::other as r from customers) q) p", "select p.foo from (select (r).* from (select row(ssn)::other as r from customers) q) p",
           "select foo || '' from (select (json_populate_record(null::other, to_json(c))).* from customers c) p", "select foo || '' from (select * from json_populate_record(null::other, (select to_json(c) from customers c)) r) p",
           "select name || '' from (select o.* from orders o union select * from customers) q", "select name || '' from (table orders union table customers) q", "select s || '' from pg_temp.same", "select b || '' from (select id, name from orders union select id, ssn from customers) q(a, b)",
           "select x from xmltable('/a' passing (select xmlelement(name a, ssn) from customers) columns x text)", "insert into customers (ssn) select ssn from customers returning old::text", "update customers set id = 1 returning new",
           "select w || '' from (select name as w from orders intersect (select 'a' union select ssn from customers)) q", "select u.f from customers c, unnest(array[c]) u", "select f || '' from customers c, unnest(array[c]) u"}) {
    const auto flow = follow(*of(text), schema, *masked);
    EXPECT_GE(flow.of(0, "?column?"), 0) << text;
  }
  for (const auto* text : {"select * from orders union select ssn, 1 from customers", "select name, id from orders union select * from customers", "select (row(ssn)::other).* from customers", "select (r).* from (select row(ssn)::other as r from customers) q",
                           "select (json_populate_record(null::other, to_json(c))).* from customers c", "select * from json_populate_record(null::other, (select to_json(c) from customers c))", "table orders union table customers"})
    for (const auto* column : {"name", "anything"}) EXPECT_GE(follow(*of(text), schema, *masked).of(0, column), 0) << text << ' ' << column;
  // Several statements in one text: whatever the others give.
  for (const auto* text : {"select ssn || '' from customers; select 1", "select 1; select ssn || '' from customers", "select ssn || '' from customers; explain select 1", "select ssn || '' from customers; insert into orders values (1)",
                           "begin; select ssn || '' from customers; commit; select 1", "select ssn || '' from customers; explain analyze select 1", "select ssn || '' from customers; table orders", "table orders; delete from customers returning ssn || ''"})
    for (const auto* column : {"name", "?column?"}) {
      EXPECT_GE(follow(*of(text), schema, *masked).of(0, column), 0) << text;
      EXPECT_GE(follow(*of(text), schema, *masked).of(1, column), 0) << text;
    }
  for (const auto* text : {"select (c).secret_of from customers c", "select (select c from customers c).secret_of", "select leak()", "select c.secret_of from customers c", "do 'begin end'", "call leak()"}) EXPECT_TRUE(follow(*of(text), schema, *masked).unfollowed) << text;
  for (const auto* text : {"create table n as select ssn from customers", "insert into orders (name) select ssn from customers", "update orders set name = ssn from customers", "select ssn into n from customers",
                           "insert into customers (ssn, name) select * from customers", "insert into customers (ssn, name) select c.*, 'x' from customers c", "insert into orders (name) values ('x') on conflict do update set name = (select ssn from customers)",
                           "insert into customers (ssn) select ssn from customers on conflict do update set name = excluded::text", "insert into orders select * from customers", "select pg_notify('c', ssn) from customers", "select 1 from customers where pg_notify('c', ssn) is null", "select lo_from_bytea(0, ssn::bytea) from customers", "merge into orders o using customers c on true when matched then update set name = c.ssn", "create materialized view m as select upper(ssn) from customers"})
    EXPECT_TRUE(follow(*of(text), schema, *masked).stores) << text;
}

TEST(Lineage, WhatIsNotMadeFromItStaysAsItIs) {
  const auto schema = shop();
  ColumnPattern pattern;
  ASSERT_EQ(ColumnPattern::parse("customers.ssn", pattern), "");
  const auto masked = masked_columns(schema, {{pattern}}, {{}});
  for (const auto* text : {"select name || '' from customers", "select count(*) from customers", "select count(ssn) from customers", "select o.name || '' from orders o join customers c on true", "select upper(o.text) from orders o, customers c",
                           "select id + 1 from customers", "select i + 1 from (select id, ssn from customers) q(i, s)", "select i + 1 from (select id as i, ssn from customers union select id, name from orders) q", "begin; select name || '' from customers; commit", "select name || '' from customers; select value from orders", "select upper(ssn) as name2, name || '' from customers offset 0",
           "select o.* from orders o where id in (select id from customers where ssn = '1')", "select a + 1 from orders o, generate_series(1, (select count(ssn) from customers)) a", "with x as (select id, ssn from customers) select id + 1 from x", "select lower(name) from orders", "select c.name || '' from customers c where ssn = '1'"}) {
    const auto flow = follow(*of(text), schema, *masked);
    EXPECT_LT(flow.of(std::string_view(text).contains("name2") ? 1 : 0, ""), 0) << text;
    EXPECT_FALSE(flow.unfollowed || flow.stores) << text;
  }
  EXPECT_FALSE(follow(*of("update customers set ssn = upper(ssn) where id = 1"), schema, *masked).stores);
  EXPECT_FALSE(follow(*of("insert into orders select * from orders where id in (select id from customers where ssn = '1')"), schema, *masked).stores);
  const auto copy = follow(*of("copy (select id, ssn, name, ssn || '' from customers) to stdout"), schema, *masked);
  EXPECT_EQ(copy.columns, (std::vector<int>{-1, 0, -1, 0}));
  EXPECT_EQ(copy.types, (std::vector<std::uint32_t>{0, 25, 0, 0})) << "the type of a masked column that is shown as it is, and of nothing else";
  EXPECT_EQ(follow(*of("copy (select ssn from (select ssn::int from customers) q) to stdout"), schema, *masked).types, std::vector<std::uint32_t>{0});
}

TEST(Lineage, AFunctionOfTheTargetsListIsLikeOneThatIsBuiltIn) {
  auto schema = shop();
  ColumnPattern pattern;
  ASSERT_EQ(ColumnPattern::parse("customers.ssn", pattern), "");
  const auto masked = masked_columns(schema, {{pattern}}, {{}});
  EXPECT_TRUE(follow(*of("select tell('x')"), schema, *masked).unfollowed);
  schema.known_functions = {"tell", "leak"};
  EXPECT_FALSE(follow(*of("select tell('x'), public.tell('y')"), schema, *masked).unfollowed);
  EXPECT_GE(follow(*of("select tell(ssn) from customers"), schema, *masked).of(0, "tell"), 0) << "it shows its arguments";
  EXPECT_TRUE(follow(*of("select leak()"), schema, *masked).unfollowed) << "another one of that name is not on the list";
}

TEST(Lineage, ManyNamesCostLittleAndTooManyAreRefused) {
  const auto schema = shop();
  ColumnPattern pattern;
  ASSERT_EQ(ColumnPattern::parse("customers.ssn", pattern), "");
  const auto masked = masked_columns(schema, {{pattern}}, {{}});
  // Each WITH reads the one behind it: what holds a masked value is known only after as many rounds as there are.
  std::string text = "with recursive ";
  for (int i = 0; i < 300; ++i) text += fmt::format("x{}(c{}) as (select c{} from x{}), ", i, i, i + 1, i + 1);
  text += "x300(c300) as (select ssn from customers) select c0 || '' from x0";
  EXPECT_GE(follow(*of(text), schema, *masked).of(0, "?column?"), 0);
  std::string nested = "a", list;
  for (int i = 0; i < 1500; ++i) nested = "(select " + nested + ")";
  for (int i = 0; i < 1500; ++i) list += fmt::format("c{},", i);
  const auto begun = std::chrono::steady_clock::now();
  (void)analyse("select " + list + nested + " from t");
  std::string calls = "select 1";
  for (int i = 0; i < 100'000; ++i) calls += fmt::format(",f{}(c{})", i, i);
  (void)analyse(calls);
  std::string wide = "select 1 from t";
  for (int i = 0; i < 3'000; ++i) wide += fmt::format(",t{}", i);
  wide += " where 1 in (0";
  for (int i = 0; i < 20'000; ++i) wide += fmt::format(",c{}", i);
  const auto refused = analyse(wide + ")");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::Denied);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(20));
}

}  // namespace
}  // namespace sallyport::sql
