"""The short version: the cases that `make test` runs, some of each kind."""

from __future__ import annotations

CASES = {
    "test_killed.py": (
        "test_a_child_is_killed_at_a_point[reader.sent:50-PostgreSQL]",
        "test_a_child_is_killed_at_a_point[worker 0.found:3-SQLite]",
        "test_a_child_is_killed_at_a_point[writer.merged:1-SQLite]",
        "test_a_child_is_killed_at_any_time[reader-0-SQLite]",
        "test_a_child_is_killed_at_any_time[worker-0-PostgreSQL]",
        "test_a_child_is_killed_at_any_time[writer-0-SQLite]",
        "test_the_parent_is_killed_while_a_child_is_at_a_point[writer.merged:1-PostgreSQL]",
        "test_a_worker_is_killed_inside_a_result[PostgreSQL]",
        "test_a_reader_killed_after_the_commit_changes_nothing",
        "test_no_child_outlives_a_killed_parent_for_another_that_is_stuck[worker 1-PostgreSQL]",
    ),
    "test_postgresql.py": (
        "test_the_connection_is_cut_at_a_point[merged:1-answer]",
        "test_the_connection_is_cut_after_any_byte[0-sent]",
        "test_the_session_is_terminated_at_any_time[0]",
        "test_the_server_is_restarted_at_any_time[0]",
        "test_what_the_data_cannot_be_is_not_tried_again[a check]",
        "test_a_locked_table_is_waited_for_in_the_memory_that_there_is[deals]",
    ),
    "test_sqlite.py": (
        "test_a_lock_held_for_longer_than_the_url_says_ends_the_run[writes-merging:1]",
        "test_what_may_not_be_written_ends_the_run[directory]",
        "test_a_database_that_is_deleted_ends_the_run[staged:5]",
    ),
    "test_disk_full.py": (
        "test_no_room_for_the_database[0-limit]",
        "test_no_room_for_the_last_staged_rows[100]",
        "test_no_room_for_the_file_of_columns[0-limit]",
        "test_no_room_for_the_shared_memory[SQLite]",
    ),
    "test_http.py": ("test_whatever_a_server_answers[0]",),
    "test_memory.py": (
        "test_a_feed_made_to_fill_the_memory_does_not[string in a record]",
        "test_a_feed_made_to_fill_the_memory_does_not[depth, not matching]",
        "test_a_feed_made_to_fill_the_memory_does_not[names twice, not matching]",
        "test_a_feed_made_to_fill_the_memory_does_not[string after the records]",
    ),
    "test_signals.py": (
        "test_a_run_is_stopped_at_any_time[SIGTERM-0-PostgreSQL]",
        "test_a_second_signal_changes_nothing_but_the_time[0-SQLite]",
    ),
    "test_at_once.py": (
        "test_runs_at_once[0-75-new-PostgreSQL]",
        "test_a_run_waits_for_one_that_has_made_no_table_yet[SQLite]",
    ),
}
