#!/usr/bin/env bash
# Makes src/sql/builtin_functions.inc from a running PostgreSQL (psql's own settings say which): the built-in functions of
# which every overload is immutable or stable, less those that read a table or run a query that their arguments name, and
# the volatile ones that are known to change nothing. `tools/sql-functions.sh > src/sql/builtin_functions.inc`
set -euo pipefail
echo "// Made by tools/sql-functions.sh; one sorted list, one name a line break or space. Do not edit."
psql -XAtq -c "
select 'R\"(' || string_agg(proname, ' ' order by proname collate \"C\") || ')\"' from (
  select proname from pg_proc where pronamespace = 'pg_catalog'::regnamespace group by 1
  having (bool_and(provolatile in ('i', 's'))
          and proname !~ '_to_xml' and proname !~ '^(RI_|binary_upgrade_|pg_event_trigger_)' and not bool_or(prorettype = 'trigger'::regtype)
          and not bool_or(prorettype = 'internal'::regtype))
  or proname in ('clock_timestamp','current_query','currval','lastval','gen_random_uuid','random','setseed','timeofday','pg_sleep','pg_sleep_for','pg_sleep_until',
     'pg_relation_size','pg_table_size','pg_total_relation_size','pg_indexes_size','pg_database_size','pg_tablespace_size','pg_is_in_recovery','pg_partition_tree',
     'pg_partition_ancestors','pg_blocking_pids','pg_safe_snapshot_blocking_pids','pg_lock_status','pg_xact_status','txid_status','pg_sequence_last_value',
     'pg_current_wal_lsn','pg_last_wal_replay_lsn','pg_last_wal_receive_lsn','pg_last_xact_replay_timestamp','pg_jit_available','pg_collation_actual_version',
     'pg_database_collation_actual_version','lo_get','lo_open','loread','lo_lseek','lo_lseek64','lo_tell','lo_tell64','lo_close','pg_notification_queue_usage',
     'pg_stat_get_xact_numscans','pg_stat_get_xact_tuples_returned','pg_stat_get_xact_tuples_fetched','pg_stat_get_xact_tuples_inserted','pg_stat_get_xact_tuples_updated',
     'pg_stat_get_xact_tuples_deleted','pg_stat_get_xact_tuples_hot_updated','pg_stat_get_xact_blocks_fetched','pg_stat_get_xact_blocks_hit','pg_stat_get_xact_function_calls',
     'pg_stat_get_xact_function_total_time','pg_stat_get_xact_function_self_time','pg_prepared_xact','bernoulli','system')
) f" | fold -s -w 118
