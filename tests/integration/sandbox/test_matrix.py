"""What a sandbox promises, in which modes, and the tests that hold it to that: none may be lost by renaming.

Every promise is a line of `MATRIX`: what is tried, and for each mode the test (file::function, in this directory unless
it has a slash) or, in words, why there is nothing to promise. `plain` is single mode where owners are not recorded.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TESTS = HERE.parent.parent
MODES = ("root", "subuid", "single", "plain", "chroot", "none")
FIXTURES = {"debian": MODES[:3], "small": MODES[:3], "account": MODES[:3], "any_small": (*MODES[:3], "chroot")}
"""Fixtures of tests, and the modes that they go through."""

_REFUSED = "no step runs"
_NO_PROC = "there is no /proc to see it in, and no isolation is promised"
_ROOTS = "as the kernel does it for root"
_UNREAL = "nobody is another user than root there"

MATRIX: dict[str, dict[str, str]] = {
    "1 the status is the command's": {
        "root subuid single chroot": "status_and_output::test_the_status_is_that_of_a_shell",
        "plain": "plain::test_the_status_is_the_commands",
        "none": "ladder::test_a_user_in_a_container",
    },
    "2 everything ends with its time, or with the builder": {
        "root subuid single chroot": "status_and_output::test_a_timeout_ends_everything "
        "status_and_output::test_nothing_outlives_the_builder "
        "status_and_output::test_cancelling_ends_it_within_a_second",
        "plain": "plain::test_a_timeout_ends_everything",
        "none": _REFUSED,
    },
    "3 output is complete, in order, as it comes, and background processes hold nothing up": {
        "root subuid single chroot": "status_and_output::test_a_process_in_the_background_does_not_hold_the_step "
        "status_and_output::test_output_comes_as_it_is_written_and_in_order",
        "plain": "as single: the recorder has no part in it",
        "none": _REFUSED,
    },
    "4 stdin is empty and nothing else is open": {
        "root subuid single": "status_and_output::test_stdin_is_empty_and_nothing_else_is_open "
        "hardening::test_no_descriptor_of_the_builder_is_inherited",
        "plain": "as single: the recorder has no part in it",
        "chroot": _NO_PROC,
        "none": _REFUSED,
    },
    "5 a step sees its own processes only": {
        "root subuid single": "status_and_output::test_the_step_sees_its_own_processes_only "
        "hardening::test_processes_of_the_same_user_outside_are_out_of_reach",
        "plain": "as single: the recorder has no part in it",
        "chroot": _NO_PROC,
        "none": _REFUSED,
    },
    "6 docker's capabilities and filter": {
        "root subuid single": "hardening::test_capabilities_and_filter_are_dockers",
        "plain": "as single: the filters are the same",
        "chroot": "hardening::test_chroot_mode_keeps_what_is_needed_for_owners",
        "none": _REFUSED,
    },
    "7 no namespaces and no mounts": {
        "root subuid single": "hardening::test_no_new_namespaces_and_mounts",
        "plain": "as single: the filters are the same",
        "chroot": "hardening::test_chroot_mode_keeps_what_is_needed_for_owners",
        "none": _REFUSED,
    },
    "8 devices cannot be used, the kernel's settings not be changed": {
        "root subuid single": "hardening::test_devices_cannot_be_opened "
        "hardening::test_what_is_the_kernels_is_read_only",
        "plain": "plain::test_no_device_is_made",
        "chroot": "no isolation is promised",
        "none": _REFUSED,
    },
    "9 what is removed, replaced and renamed is a layer's": {
        "root subuid single": "changes::test_removed_replaced_and_renamed",
        "plain": "plain::test_changes_are_a_layers",
        "chroot": "unit/snapshot/test_compare.py::test_what_changed",
        "none": _REFUSED,
    },
    "10 mount points leave no trace": {
        "root subuid single": "changes::test_mount_points_leave_no_trace",
        "plain": "plain::test_changes_are_a_layers",
        "chroot": "mounts::test_what_chroot_mode_placed_is_taken_away_again",
        "none": _REFUSED,
    },
    "11 secrets are read-only and in no layer": {
        "root subuid single chroot": "mounts::test_a_secret_can_be_read_and_not_written",
        "plain": "plain::test_changes_are_a_layers",
        "none": _REFUSED,
    },
    "12 packages install": {
        "root subuid single": "owners::test_installing_packages_and_making_users",
        "plain": "plain::test_packages_and_users_can_be_added",
        "chroot": _ROOTS,
        "none": _REFUSED,
    },
    "13 users can be added, and become": {
        "root subuid single": "owners::test_installing_packages_and_making_users "
        "emulation::test_who_becomes_another_is_that_one",
        "plain": "plain::test_packages_and_users_can_be_added",
        "chroot": _ROOTS,
        "none": _REFUSED,
    },
    "14 owners, modes, hard links and devices": {
        "root subuid single": "owners::test_owners_modes_and_devices owners::test_every_mode_makes_the_same_layer",
        "plain": "plain::test_no_device_is_made",
        "chroot": _ROOTS,
        "none": _REFUSED,
    },
    "15 files keep their owners when they are changed": {
        "root subuid single": "owners::test_a_file_keeps_the_owner_that_its_path_had",
        "plain": "plain::test_a_file_keeps_the_owner_that_its_path_had",
        "chroot": _ROOTS,
        "none": _REFUSED,
    },
    "16 other users, and setuid programs": {
        "root subuid single": "owners::test_files_of_another_user_belong_to_it emulation::test_copies_keep_owners "
        "emulation::test_what_another_user_may_not_do",
        "plain": _UNREAL,
        "chroot": _ROOTS,
        "none": _REFUSED,
    },
    "17 file capabilities name no namespace": {
        "root subuid single": "owners::test_file_capabilities",
        "plain": "as single: the recorder has no part in it",
        "chroot": _ROOTS,
        "none": _REFUSED,
    },
    "18 many layers, and stores of every name": {
        "root subuid single": "limits::test_layers limits::test_too_many_layers limits::test_directories_of_every_name",
        "plain": "as single: the recorder has no part in it",
        "chroot": "nothing is mounted",
        "none": _REFUSED,
    },
    "19 no network, or the host's": {
        "root subuid single": "limits::test_no_network limits::test_loopback_works_without_a_network "
        "limits::test_the_hosts_network",
        "plain": "as single: the recorder has no part in it",
        "chroot": "the host's is all there is",
        "none": _REFUSED,
    },
    "20 sockets and keys of the host are out of reach": {
        "root subuid single": "hardening::test_abstract_sockets_of_the_host_are_out_of_reach",
        "root": "hardening::test_the_session_keyring_is_out_of_reach",
        "plain": "as single: the recorder has no part in it",
        "chroot": "no isolation is promised",
        "none": _REFUSED,
    },
    "21 links lead to no place outside": {
        "root subuid single": "hardening::test_a_symlink_out_of_the_root_leads_back_into_it",
        "plain": "as single: the recorder has no part in it",
        "chroot": "mounts::test_taking_away_leads_to_no_other_place",
        "none": _REFUSED,
    },
    "22 memory has its size, binds do not change, caches are shared as asked": {
        "root subuid single chroot": "mounts::test_what_is_written_to_a_bind_is_thrown_away "
        "mounts::test_a_cache_keeps_what_is_written",
        "root subuid single": "mounts::test_memory_has_its_size_and_mode",
        "root": "integration/test_cache_sharing.py::test_locked_caches_are_used_one_after_the_other",
        "plain": "as single: the recorder has no part in it",
        "none": _REFUSED,
    },
    "23 threads take no step with them, and nothing accumulates": {
        "root subuid single": "lifetime::test_threads_that_end_take_no_step_with_them "
        "lifetime::test_two_hundred_steps_leave_nothing",
        "plain": "as single: the recorder has no part in it",
        "chroot": "status_and_output::test_nothing_outlives_the_builder",
        "none": _REFUSED,
    },
    "24 the best rung is taken and explained": {
        "root": "ladder::test_root ladder::test_root_in_a_container_without_a_filter",
        "subuid": "ladder::test_a_user_with_subordinate_ids",
        "single": "ladder::test_a_user_without_subordinate_ids ladder::test_without_new_privileges",
        "plain": "ladder::test_a_sandbox_in_a_sandbox",
        "chroot": "ladder::test_root_in_a_container nested::test_root_in_docker",
        "none": "ladder::test_user_namespaces_used_up nested::test_a_user_in_docker nested::test_builds_in_docker",
    },
    "25 two at once on one base, never on one upper directory; all can be removed": {
        "root subuid single": "status_and_output::test_many_steps_run_at_once "
        "changes::test_one_upper_directory_for_two_at_once_is_refused "
        "integration/test_store_removal.py::test_everything_can_be_removed",
        "plain": "as single: the recorder has no part in it",
        "chroot": "each step has a copy of its own",
        "none": _REFUSED,
    },
    "26 what daemons and forged times would hide is found": {
        "root subuid single chroot": "status_and_output::test_a_timeout_ends_everything",
        "chroot": "unit/snapshot/test_compare.py::test_what_changed",
        "plain": "as single: the recorder has no part in it",
        "none": _REFUSED,
    },
}


def cells() -> list[tuple[str, str, str]]:
    return [
        (promise, mode, text)
        for promise, row in MATRIX.items()
        for modes, text in row.items()
        for mode in modes.split()
    ]


@cache
def functions_of(path: Path) -> dict[str, ast.FunctionDef]:
    tree = ast.parse(path.read_text())
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


def path_of(name: str) -> Path:
    return TESTS / name if "/" in name else HERE / f"test_{name}.py"


@pytest.mark.parametrize("promise", MATRIX)
def test_every_mode_is_accounted_for(promise: str) -> None:
    said = {mode for name, mode, _ in cells() if name == promise}
    assert said == set(MODES)


@pytest.mark.parametrize(("promise", "mode", "text"), [cell for cell in cells() if "::" in cell[2]])
def test_what_holds_a_promise_is_there(promise: str, mode: str, text: str) -> None:
    """The tests exist, and those that go through modes by a fixture go through this one."""
    for test in text.split():
        file, _, name = test.partition("::")
        functions = functions_of(path_of(file))
        assert name in functions, test
        for argument in functions[name].args.args:
            assert mode in FIXTURES.get(argument.arg, (mode,)) or mode == "plain", (test, argument.arg)
