"""Every line of docs/changes.md is held by a test: here is which. A line without one, or a test that is gone, fails."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from concertmaster.core.changes.checks import CHECKS, run_checks
from concertmaster.core.changes.situation import Situation
from concertmaster.core.changes.verification.power import needed
from tests.support.core.change_samples import planned

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "changes.md").read_text()
LOOP, PLAN, CHECK, VERIFICATION = (
    "tests/unit/controller/changes/test_reconciler.py",
    "tests/unit/core/changes/test_plan.py",
    "tests/unit/core/changes/test_checks.py",
    "tests/unit/core/changes/verification/test_verification.py",
)
TASKS = "tests/unit/controller/changes/test_tekton_tasks.py"
CYCLE = "tests/unit/controller/test_cycle.py"
REAL = "tests/cluster/test_changes.py"
FRESH = "tests/unit/controller/changes/test_fresh_policy.py"
ORPHAN = "test_without_a_policy_nothing_more_is_written_and_the_change_says_how_to_undo"
CLOSED = "test_a_blocked_check_means_no_object_and_no_write"
REASONS = "test_a_gate_closes_with_reason_and_words"
ATTACKS = "test_approval_and_every_attack_on_it"
HELD: dict[str, tuple[str, str]] = {
    "Suspend the policy": (LOOP, ORPHAN),
    "Reject an automatic change": (LOOP, "test_rejecting_an_automatic_change_takes_it_back_at_once"),
    "Delete a `WorkflowChange`": (LOOP, "test_a_change_deleted_in_flight_is_taken_back_from_the_journal"),
    "Delete the profile": (LOOP, "test_a_deleted_profile_orphans_its_changes"),
    "A profile or policy that cannot be read": (
        LOOP,
        "test_what_cannot_be_read_any_more_orphans_a_change_until_it_can",
    ),
    "An orphaned change ends": (LOOP, "test_a_change_that_a_person_undid_without_a_profile_has_ended"),
    "Undo by hand": (REAL, "test_an_automatic_change_is_made_once_and_an_editor_wins"),
    "Whenever a person": (
        "tests/unit/controller/changes/test_replaced.py",
        "test_a_pipeline_that_applies_the_old_values_every_night_is_noticed_after_one_change",
    ),
    "Take the rights away": (LOOP, "test_a_right_lost_while_proving_does_not_lose_the_inverse"),
    "A change that a webhook or admission policy denies": (
        "tests/unit/controller/changes/test_repeated_writes.py",
        "test_an_approved_change_survives_a_freeze_and_asks_admission_seldom",
    ),
    "A `WorkflowChange` whose creation": (
        "tests/unit/controller/changes/test_repeated_writes.py",
        "test_a_change_whose_creation_admission_denies_is_tried_seldom_and_the_policy_says_why",
    ),
    "Only parallelism": (PLAN, "test_nothing_but_parallelism_and_requests_is_ever_planned"),
    "Only definitions": (PLAN, "test_running_runs_and_unknown_kinds_are_never_changed"),
    "A Task is changed": (TASKS, "test_a_task_that_another_pipeline_runs_waits_for_a_person_who_learns_which"),
    "Each field is tested": (LOOP, "test_a_foreign_edit_before_the_write_is_a_conflict_and_never_overwritten"),
    "No annotation": (REAL, "test_an_automatic_change_is_made_once_and_an_editor_wins"),
    "With `gitOps: Apply`": (LOOP, "test_git_owned_objects_are_changed_only_when_the_policy_says_so"),
    "A value goes no further": (PLAN, "test_a_request_goes_one_step_at_a_time_and_no_further_than_the_bounds"),
    "All requests of a right-sizing": (
        "tests/unit/controller/changes/test_right_size_changes.py",
        "test_a_kill_rolls_back_all_of_it_and_names_the_step",
    ),
    "A value that is outside": (
        PLAN,
        "test_a_value_outside_the_bounds_moves_only_as_recommended_and_only_where_one_step_leads_inside",
    ),
    "What the API server would answer": (
        "tests/cluster/test_admission.py",
        "test_no_pod_that_the_server_refuses_is_taken",
    ),
    "Admission policies and webhooks": (
        "tests/unit/controller/changes/test_impossible_pods.py",
        "test_where_no_pod_may_be_tried_and_a_webhook_decides_a_person_is_asked",
    ),
    "No run although some": (
        "tests/unit/controller/changes/test_impossible_pods.py",
        "test_no_run_although_some_were_due_is_a_harm_and_rolled_back",
    ),
    "A request is never set above": (CHECK, "test_a_request_never_passes_the_limit_beside_it"),
    "`Recommend` writes": (LOOP, "test_without_a_policy_that_allows_changes_not_a_single_request_is_made"),
    "`Approve` makes": (LOOP, "test_approve_waits_and_applies_exactly_what_was_approved"),
    "`Auto` lets": (LOOP, "test_auto_applies_verifies_and_keeps"),
    "`Auto` leaves": (LOOP, "test_a_workflow_too_noisy_to_verify_a_change_is_left_to_a_person_with_the_reason"),
    "Policy, profile and change": (FRESH, "test_a_policy_that_was_changed_while_its_watch_hung_causes_no_write"),
    "Nothing new is written while": (
        FRESH,
        "test_nothing_new_is_written_while_the_watches_are_behind_but_harm_is_rolled_back",
    ),
    "Only a change that": (REAL, "test_a_hand_made_change_is_not_rolled_back_on_its_word"),
    "In mode `Auto` a value": (
        FRESH,
        "test_a_value_from_outside_the_bounds_is_changed_only_when_a_person_says_so",
    ),
    "Every check must pass": (LOOP, CLOSED),
    "One change per workflow": (LOOP, "test_harm_is_taken_back_and_the_cooldown_doubles"),
    "While a change of an object": (TASKS, "test_two_changes_of_one_task_are_never_in_flight_together"),
    "Windows follow": (CHECK, "test_windows_follow_their_own_zone_through_both_changes_of_the_clock"),
    "A window that can never": (CYCLE, "test_a_policy_whose_windows_can_never_open_says_which_and_why"),
    "At most `limits": (LOOP, "test_one_change_at_a_time_and_no_more_writes_than_the_rate_allows"),
    "What is approved": (LOOP, "test_approve_waits_and_applies_exactly_what_was_approved"),
    "Profile, recommendation and digest": (REAL, ATTACKS),
    "A plan edited in the status": (REAL, ATTACKS),
    "A plan for a Task": (
        TASKS,
        "test_no_task_is_written_that_the_pipeline_does_not_run_or_the_recommendation_is_not_about",
    ),
    "Of a change under verification": (
        LOOP,
        "test_a_plan_edited_while_it_is_verified_writes_nothing_and_says_how_to_undo",
    ),
    "Where runs that follow": (
        "tests/unit/core/changes/verification/test_between_times.py",
        "test_days_that_differ_are_no_effect",
    ),
    "What five or more": (LOOP, "test_a_cluster_that_became_slower_is_not_blamed_on_the_change"),
    "Recommendations move a little": (
        LOOP,
        "test_a_recommendation_that_moves_a_little_keeps_the_proposal_and_much_replaces_it",
    ),
    "With `approvals": (REAL, "test_only_the_operator_makes_changes_and_nobody_decides_in_another_persons_name"),
    "Runs before the change": (
        VERIFICATION,
        "test_noisy_runs_are_compared_with_more_of_the_past_where_it_is_of_the_same_kind",
    ),
    "Runs that started after": (
        VERIFICATION,
        "test_runs_that_were_going_on_and_runs_of_an_earlier_change_are_on_neither_side",
    ),
    "*Faster* must": (VERIFICATION, "test_same_is_restored_or_kept_as_the_policy_says_for_faster_only"),
    "*Cheaper* must": (VERIFICATION, "test_a_slowdown_within_the_margin_does_not_spoil_a_saving"),
    "One container killed": (VERIFICATION, "test_one_kill_for_memory_after_less_memory_is_enough_and_only_then"),
    "Runs that use more memory": (VERIFICATION, "test_use_above_a_lowered_request_is_harm_although_nothing_was_killed"),
    "More failing runs": (VERIFICATION, "test_a_clear_slowdown_ends_the_verification_before_min_runs"),
    "Failures at times": (
        "tests/unit/core/changes/verification/test_shared.py",
        "test_a_change_is_not_rolled_back_for_failures_that_others_share",
    ),
    "Time in which the metrics source": (
        "tests/unit/controller/changes/test_unread_time.py",
        "test_what_the_metrics_source_missed_itself_is_no_time_of_the_verification",
    ),
    "Nor does time in which the workflow": (
        "tests/unit/controller/changes/test_suspended.py",
        "test_the_time_in_which_a_workflow_is_suspended_says_nothing_of_its_change",
    ),
    "Runs since the change that are not compared": (
        "tests/unit/core/changes/verification/test_before_after.py",
        "test_what_was_begun_since_and_is_not_compared_is_counted_with_the_reason",
    ),
    "Too few runs": (VERIFICATION, "test_no_runs_in_time_is_inconclusive_and_the_policy_says_what_follows"),
    "When somebody changes": (LOOP, "test_another_change_of_the_template_ends_the_verification_with_what_is_known"),
    "A change that was rolled back": (LOOP, "test_three_worse_of_five_and_the_rule_must_ask"),
    "A change that was kept": (
        "tests/unit/controller/changes/test_kept_changes.py",
        "test_a_change_that_fails_runs_after_it_was_kept_is_rolled_back",
    ),
    "What was predicted": (
        "tests/unit/core/changes/test_ledger.py",
        "test_broken_promises_shrink_the_next_ones_step_by_step",
    ),
    "Killed at any moment": (LOOP, "test_a_process_killed_at_any_write_neither_writes_twice_nor_forgets"),
    "A change whose object": (
        LOOP,
        "test_an_object_whose_maker_died_before_the_plan_was_written_is_not_called_a_forgery_when_a_recommendation_moves",
    ),
    "While the journal": (
        LOOP,
        "test_a_journal_that_cannot_be_written_does_not_keep_harm_elsewhere_from_being_taken_back",
    ),
    "A rollback that the API": (
        "tests/unit/controller/changes/test_repeated_writes.py",
        "test_a_rollback_that_the_server_refuses_says_why_once_and_is_tried_again",
    ),
    "An entry of the journal": (
        "tests/unit/controller/changes/writing/test_journal.py",
        "test_an_entry_that_cannot_be_read_stops_no_other_change",
    ),
    "A write whose answer": (LOOP, "test_an_answer_that_never_came_is_looked_up"),
    "While a change is verified": (
        CYCLE,
        "test_runs_before_a_change_are_kept_as_long_as_those_after_it_are_compared_with_them",
    ),
    "Finished changes": (LOOP, "test_finished_changes_are_pruned_and_those_with_a_verdict_last"),
}


@pytest.mark.parametrize("line", re.findall(r"^- (.*)$", PAGE, re.MULTILINE), ids=lambda line: line[:40])
def test_every_line_is_held_by_a_test_that_exists(line: str) -> None:
    found = [test for head, test in HELD.items() if line.startswith(head)]
    assert len(found) == 1, f"no test, or several, for: {line}"
    file, name = found[0]
    assert f"def {name}(" in (ROOT / file).read_text()


def test_the_runs_a_verification_needs_are_as_the_page_says() -> None:
    rows = re.findall(r"^\| (\d+)% \| (.*) \|$", PAGE, re.MULTILINE)
    assert len(rows) == 5
    for noise, cells in rows:
        for before, cell in zip((10, 30, 60, 200), cells.split(" | "), strict=True):
            found = needed(int(noise) / 100, before)
            assert cell == ("never" if found is None else str(max(5, found))), (noise, before)  # minRuns is 5


def test_no_test_stands_for_a_line_that_is_gone() -> None:
    lines = re.findall(r"^- (.*)$", PAGE, re.MULTILINE)
    assert [head for head in HELD if not any(line.startswith(head) for line in lines)] == []


def test_the_table_names_every_check_and_each_has_its_test() -> None:
    cells = re.findall(r"^\| ([a-z][-a-z, ]*) \| ", PAGE, re.MULTILINE)
    named = {name.strip() for cell in cells if cell != "check" for name in cell.split(",")}
    known = {v.check for v in run_checks(planned(), Situation(0.0))}
    assert len(known) == len(CHECKS)
    assert named == known
    tests = (ROOT / CHECK).read_text()
    assert all(f'("{check}", "' in tests for check in known), REASONS
