// What is known of functions and settings by name.
#include <algorithm>
#include <string_view>
#include <unordered_set>

#include "sql/statement.h"

namespace sallyport::sql {
namespace {

constexpr std::string_view kBuiltin =
#include "sql/builtin_functions.inc"
    ;

std::unordered_set<std::string_view> words(std::string_view text) {
  std::unordered_set<std::string_view> out;
  while (!text.empty()) {
    const auto from = text.find_first_not_of(" \n");
    if (from == std::string_view::npos) break;
    text.remove_prefix(from);
    const auto end = std::min(text.find_first_of(" \n"), text.size());
    out.insert(text.substr(0, end));
    text.remove_prefix(end);
  }
  return out;
}

/// Settings of a session that change how results look or how long things may take, not what may be done or how texts are
/// read. search_path is among them: names are judged in every schema that has them.
constexpr std::string_view kSettings =
    "application_name bytea_output client_connection_check_interval client_min_messages constraint_exclusion cpu_index_tuple_cost "
    "cpu_operator_cost cpu_tuple_cost cursor_tuple_fraction datestyle deadlock_timeout default_statistics_target "
    "default_transaction_deferrable default_transaction_isolation default_transaction_read_only effective_cache_size "
    "effective_io_concurrency enable_async_append enable_bitmapscan enable_gathermerge enable_hashagg enable_hashjoin "
    "enable_incremental_sort enable_indexonlyscan enable_indexscan enable_material enable_memoize enable_mergejoin enable_nestloop "
    "enable_parallel_append enable_parallel_hash enable_partition_pruning enable_partitionwise_aggregate enable_partitionwise_join "
    "enable_seqscan enable_sort enable_tidscan extra_float_digits force_parallel_mode from_collapse_limit geqo geqo_effort "
    "geqo_generations geqo_pool_size geqo_seed geqo_selection_bias geqo_threshold gin_fuzzy_search_limit hash_mem_multiplier "
    "idle_in_transaction_session_timeout idle_session_timeout intervalstyle jit join_collapse_limit lc_messages lc_monetary lc_numeric "
    "lc_time lock_timeout maintenance_work_mem max_parallel_workers_per_gather min_parallel_index_scan_size "
    "min_parallel_table_scan_size parallel_leader_participation parallel_setup_cost parallel_tuple_cost plan_cache_mode "
    "quote_all_identifiers random_page_cost search_path seed seq_page_cost statement_timeout synchronize_seqscans "
    "synchronous_commit temp_buffers timezone transaction_deferrable transaction_isolation transaction_read_only work_mem xmlbinary "
    "xmloption default_table_access_method default_tablespace default_toast_compression check_function_bodies "
    "transaction_timeout names";

}  // namespace

bool is_harmless_function(std::string_view name) {
  static const auto kNames = words(kBuiltin);
  return kNames.contains(name);
}

bool is_writing_function(std::string_view name) {
  static const auto kNames = words("nextval setval lo_creat lo_create lo_put lowrite lo_unlink lo_truncate lo_truncate64 lo_from_bytea pg_notify");
  return kNames.contains(name);
}

bool is_locking_function(std::string_view name) { return name.starts_with("pg_advisory_") || name.starts_with("pg_try_advisory_"); }

bool is_harmless_setting(std::string_view name) {
  static const auto kNames = words(kSettings);
  std::string small(name);
  std::ranges::transform(small, small.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
  return kNames.contains(small);
}

}  // namespace sallyport::sql
