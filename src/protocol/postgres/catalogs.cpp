#include "protocol/postgres/catalogs.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <charconv>

#include "base/clock.h"
#include "protocol/postgres/upstream.h"

namespace sallyport::protocol::postgres {

using boost::asio::awaitable;

namespace {

constexpr std::int64_t kFresh = 60'000'000'000;

// Extensions whose functions and operators only compute. Others may run queries (dblink, tablefunc, …).
constexpr const char* kExtensions =
    "('plpgsql','citext','hstore','pgcrypto','uuid-ossp','pg_trgm','unaccent','ltree','intarray','fuzzystrmatch','cube','earthdistance',"
    "'btree_gin','btree_gist','isn','seg','tcn','bloom','dict_int','dict_xsyn','vector')";

const std::string kTables =
    "select c.oid, n.nspname, c.relname, c.relkind, case when c.relkind in ('v','m') and n.nspname not in ('pg_catalog','information_schema') "
    "then pg_catalog.pg_get_viewdef(c.oid) end, "
    "(select pg_catalog.string_agg(i.inhparent::pg_catalog.text, ' ') from pg_catalog.pg_inherits i where i.inhrelid = c.oid) "
    "from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace "
    "where c.relkind in ('r','v','m','p','f','S') and n.nspname <> 'pg_toast'";
const std::string kColumns =
    "select a.attrelid, a.attnum, a.attname, a.atttypid, a.attgenerated <> '' from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid "
    "join pg_catalog.pg_namespace n on n.oid = c.relnamespace "
    "where c.relkind in ('r','v','m','p','f') and n.nspname <> 'pg_toast' and a.attnum > 0 and not a.attisdropped order by 1, 2";
const std::string kTypes = "select oid, typname, typcategory, typtype, typelem, typbasetype from pg_catalog.pg_type";
const std::string kFunctions =
    "select p.oid, p.proname, n.nspname, n.nspname = 'pg_catalog', exists (select from pg_catalog.pg_depend d join "
    "pg_catalog.pg_extension e on e.oid = d.refobjid where d.objid = p.oid and d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.deptype = 'e' "
    "and e.extname in " + std::string(kExtensions) + ") from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace";
const std::string kOperators =
    "select distinct o.oprname from pg_catalog.pg_operator o where o.oprnamespace <> 'pg_catalog'::pg_catalog.regnamespace and not exists "
    "(select from pg_catalog.pg_depend d join pg_catalog.pg_extension e on e.oid = d.refobjid where d.objid = o.oid "
    "and d.classid = 'pg_catalog.pg_operator'::pg_catalog.regclass and d.deptype = 'e' and e.extname in " + std::string(kExtensions) + ")";

std::uint32_t number(const std::string& text) {
  std::uint32_t out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

char letter(const std::string& text) { return text.empty() ? '?' : text[0]; }

void add_tables(sql::Schema& out, Rows rows) {
  for (auto& row : rows) {
    if (row.size() != 6) continue;
    sql::Table table;
    table.oid = number(row[0]);
    table.schema = std::move(row[1]);
    table.name = std::move(row[2]);
    table.kind = letter(row[3]);
    table.definition = std::move(row[4]);
    std::string_view parents = row[5];
    while (!parents.empty()) {
      const auto space = std::min(parents.find(' '), parents.size());
      table.parents.push_back(number(std::string(parents.substr(0, space))));
      parents.remove_prefix(std::min(space + 1, parents.size()));
    }
    out.by_oid[table.oid] = out.tables.size();
    out.by_name.emplace(table.name, out.tables.size());
    out.tables.push_back(std::move(table));
  }
}

awaitable<Result<sql::SchemaPtr>> read(boost::asio::io_context& context, const target::Target& target, const target::PostgresTarget& server, std::string database) {
  // No search_path: nobody's function may stand in for those that these queries name.
  CO_TRY(auto upstream, co_await log_in(context, target, server, {{"database", database}, {"application_name", "sallyport catalog"},
                                                                   {"client_encoding", "UTF8"}, {"search_path", ""}, {"default_transaction_read_only", "on"}, {"lock_timeout", "200"}}));
  auto out = std::make_shared<sql::Schema>();
  CO_TRY(auto tables, co_await query(upstream, kTables));
  add_tables(*out, std::move(tables));
  CO_TRY(auto columns, co_await query(upstream, kColumns));
  for (auto& row : columns) {
    const auto at = row.size() == 5 ? out->by_oid.find(number(row[0])) : out->by_oid.end();
    if (at != out->by_oid.end()) out->tables[at->second].columns.push_back({std::move(row[2]), static_cast<std::int16_t>(number(row[1])), number(row[3]), row[4] == "t"});
  }
  CO_TRY(auto types, co_await query(upstream, kTypes));
  for (auto& row : types)
    if (row.size() == 6) out->types[number(row[0])] = {std::move(row[1]), letter(row[2]), letter(row[3]), number(row[4]), number(row[5])};
  CO_TRY(auto functions, co_await query(upstream, kFunctions));
  for (auto& row : functions) {
    if (row.size() != 5) continue;
    const bool listed = std::ranges::any_of(server.functions, [&](const auto& name) { return name == row[1] || name == row[2] + "." + row[1]; });
    if (row[4] == "t" || listed) out->known_functions.insert(row[1]);
    else if (row[3] != "t") out->own_functions.insert(row[1]);
    out->functions[number(row[0])] = std::move(row[1]);
  }
  CO_TRY(auto operators, co_await query(upstream, kOperators));
  for (auto& row : operators)
    if (row.size() == 1) out->own_operators.insert(std::move(row[0]));
  std::string end;
  put_message(end, 'X', "");
  (void)co_await upstream.wire->greet(end, net::after(server.connect_ns));
  co_return sql::SchemaPtr(std::move(out));
}

}  // namespace

void Catalogs::doubted() {
  const auto now = system_clock().mono_ns();
  if (now - doubted_ns_ < 1'000'000'000) return;
  doubted_ns_ = now;
  changed();
}

awaitable<Result<void>> Catalogs::read(std::shared_ptr<Kept> kept, target::Target target, target::PostgresTarget server, std::string database) {
  kept->reading = std::make_shared<boost::asio::steady_timer>(context_, std::chrono::steady_clock::time_point::max());
  const auto changes = changes_->load();
  auto schema = co_await postgres::read(context_, target, server, std::move(database));
  std::exchange(kept->reading, nullptr)->cancel();
  if (!schema) {
    kept->failed = schema.error();
    co_return std::unexpected(std::move(schema).error());
  }
  kept->schema = std::move(*schema);
  kept->changes = changes;
  kept->read_mono_ns = system_clock().mono_ns();
  co_return Result<void>{};
}

awaitable<Result<sql::SchemaPtr>> Catalogs::get(const target::Target& target, const target::PostgresTarget& server, std::string database) {
  auto& slot = kept_[{target.name, database}];
  if (!slot) slot = std::make_shared<Kept>();
  const auto kept = slot;  // a reload may clear the map meanwhile
  for (;;) {
    if (kept->schema && kept->changes == changes_->load()) {
      if (system_clock().mono_ns() - kept->read_mono_ns > kFresh && !kept->reading)
        boost::asio::co_spawn(context_, read(kept, target, server, std::move(database)), boost::asio::detached);
      co_return kept->schema;
    }
    if (!kept->reading) break;
    boost::system::error_code over;
    const auto reading = kept->reading;
    co_await reading->async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, over));
    if (!kept->schema && !kept->reading) co_return std::unexpected(kept->failed);
    if (kept->schema && !kept->reading) co_return kept->schema;
  }
  // A view that somebody holds exclusively cannot be read now: what was known before serves until it can.
  auto done = co_await read(kept, target, server, std::move(database));
  if (!done && !kept->schema) co_return std::unexpected(std::move(done).error());
  co_return kept->schema;
}

}  // namespace sallyport::protocol::postgres
