"""What the project promises where things go wrong, and the tests that hold each promise.

A test is named by its file and its function. Those marked chaos, matrix or soak have a short form,
which `make short` runs; the others are run by `make test`.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent

PROMISES: dict[str, list[str]] = {
    "cash and units are conserved": [
        "market/test_positions.py::test_over_25000_ticks_no_unit_and_no_money_comes_from_nowhere",
    ],
    "orders are filled as by a naive book": [
        "market/test_execution.py::test_ten_thousand_random_books_are_filled_as_by_the_naive_oracle",
    ],
    "nobody's market depends on who answers first": [
        "actors/test_shards.py::test_a_thousand_orders_in_which_hosts_may_answer_give_one_hash",
        "market/test_execution.py::test_permuting_the_sellers_permutes_the_results",
    ],
    "every runtime, layout and batch has one hash": [
        "actors/test_shards.py::test_every_layout_of_shards_and_hosts_has_the_hash_of_the_loop",
        "actors/test_matrix.py::test_every_layout_over_ray_has_the_hash_of_the_loop",
    ],
    "a killed participant or clearing house comes back and leaves no trace": [
        "actors/test_ray.py::test_killed_processes_are_restarted_and_the_hash_is_the_same",
        "actors/test_chaos.py::test_killed_processes_leave_no_trace_in_the_hash",
    ],
    "a killed driver is resumed, and nothing is lost or given twice": [
        "actors/test_chaos.py::"
        "test_a_killed_driver_is_resumed_and_nothing_that_it_gave_is_given_twice",
        "actors/test_shards.py::test_a_run_that_crashes_anywhere_goes_on_to_the_same_hash",
    ],
    "nobody waits for a participant that hangs": [
        "actors/test_ray.py::test_one_that_hangs_is_late_and_then_withdrawn_and_the_ticks_go_on",
        "actors/test_ray.py::test_nobody_waits_longer_than_the_deadline_for_one_that_hangs",
        "actors/test_channel.py::test_a_worker_that_does_not_read_delays_nobody",
        "actors/test_channel.py::test_a_sender_without_end_delays_nobody",
        "actors/test_channel.py::test_a_response_that_is_too_long_closes_the_channel",
    ],
    "whatever a policy raises is its own fault": [
        "policies/test_own_faults.py::"
        "test_an_exception_of_any_class_costs_a_move_in_the_loop_and_over_actors",
        "policies/test_own_faults.py::test_the_users_own_interruption_ends_the_run",
    ],
    "rogue quotes and replies are refused and nobody else feels them": [
        "market/test_rogue_quotes.py::test_a_rogue_number_is_refused_and_nobody_else_feels_it",
        "actors/test_shards.py::test_a_liar_is_counted_and_the_market_is_as_if_it_had_said_nothing",
    ],
    "a market stops where its numbers leave the range of floats": [
        "market/test_bounds.py::test_a_market_stops_at_the_first_tick_that_is_not_finite",
    ],
    "a run has one writer": [
        "test_two_writers.py::test_fifty_of_fifty_second_writers_are_refused_and_change_nothing",
    ],
    "a damaged record is found and never used": [
        "test_runs.py::test_a_thousand_damaged_files_of_a_thousand_are_detected",
        "actors/test_journal.py::"
        "test_a_recovery_reads_a_damaged_run_as_an_error_and_not_as_a_market",
    ],
    "a full disk stops a run in one line, and it goes on when there is room": [
        "actors/test_journal.py::"
        "test_twenty_runs_on_a_full_disk_stop_with_a_line_and_go_on_when_there_is_room",
    ],
    "nothing that a participant sends is executed elsewhere": [
        "actors/test_plain.py::test_a_payload_is_not_opened_whatever_verb_gives_it",
        "actors/test_plain.py::test_a_payload_over_a_channel_is_not_opened",
        "actors/test_wire.py::test_a_block_of_anything_else_is_refused_in_one_line",
    ],
    "a wrong value in a scenario is named": [
        "scenarios/test_mutations.py::test_a_wrong_value_at_any_place_of_any_preset_is_named",
    ],
    "special files are neither read nor replaced": [
        "test_special_files.py::test_a_device_of_the_system_is_neither_read_nor_replaced",
    ],
    "whoever has no token is not let in, and is told so": [
        "actors/test_ray.py::test_what_listens_refuses_whoever_has_no_token",
        "actors/test_joining.py::test_a_session_without_a_token_is_told_so_in_one_line",
        "actors/test_joining.py::"
        "test_a_cluster_of_ones_own_listens_on_the_loopback_interface_alone",
    ],
    "nothing is sent that a participant may not see": [
        "actors/test_barrier.py::"
        "test_only_own_specs_own_policies_own_streams_and_own_observations_are_sent",
        "actors/test_barrier.py::test_the_seed_from_which_all_random_numbers_follow_is_never_sent",
    ],
    "memory and descriptors stay flat": [
        "actors/test_soak.py::test_the_loop_keeps_nothing_of_the_ticks_it_has_played",
        "actors/test_soak.py::test_actors_keep_nothing_of_the_ticks_they_have_played",
        "actors/test_soak.py::test_environments_that_were_closed_leave_nothing",
    ],
    "every package is pinned and hashed": [
        "test_repository.py::test_every_requirement_of_a_lock_is_pinned_and_hashed",
    ],
}


@cache
def functions(file: str) -> frozenset[str]:
    tree = ast.parse((TESTS / file).read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("promise", PROMISES)
def test_a_promise_has_the_tests_that_are_named_for_it(promise: str) -> None:
    for named in PROMISES[promise]:
        file, name = named.split("::")
        assert name in functions(file), named


def test_what_is_kept_out_of_the_usual_tests_has_a_short_form_that_ci_runs() -> None:
    for file in ("chaos", "matrix", "soak"):
        assert "mark.short" in (TESTS / f"actors/test_{file}.py").read_text()
    root = TESTS.parent
    assert "make short" in (root / ".ci/run").read_text()
    assert "-m short tests/actors" in (root / "Makefile").read_text()
