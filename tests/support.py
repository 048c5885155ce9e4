"""What of docker's language and command line is there, and by which tests that is known.

`script/support-table` writes the tables of README.md and docs/dockerfile.md from this and from the recorded builds:
a row of an instruction or flag counts the cases of `fixtures/builds` that use it and that come out as BuildKit's.
"""

from __future__ import annotations

import argparse
import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from pyoci.cli.arguments import make_parser
from pyoci.cli.commands.build import add_arguments
from pyoci.dockerfile import parse_commands, parse_files, parser
from pyoci.dockerfile.parse_instruction import KEYWORDS
from tests.conformance.cases import Case, read_cases
from tests.conformance.known_differences import KNOWN

__all__ = ["DOCKER_FLAGS", "LANGUAGE", "OWN_FLAGS", "Row", "flags_of_build", "is_test", "known_language", "recorded"]

Level = Literal["yes", "partly", "no"]
_TESTS = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that docker has."""

    name: str
    tests: tuple[str, ...] = ()
    """`FILE::FUNCTION` below tests/, besides the recorded builds."""
    level: Level = "yes"
    note: str = ""
    """What is missing, or why; only of rows that are not `yes`."""
    pattern: str = ""
    """How a Dockerfile that uses it is known, where the name does not say it."""


_FLAGS = "unit/cli/test_build_flags.py::test_"
_RUNS = "integration/test_build_flags.py::test_"
_DOCKER = "unit/cli/test_docker_flags.py::test_"
_ADD = "integration/fetch/test_add.py::test_"
_CACHES = "integration/test_exported_caches.py::test_"
_FORMS = "unit/cli/test_output_forms.py::test_"
_FORM_TESTS = (
    f"{_FORMS}what_is_new_is_compressed_as_asked_and_the_base_by_force_alone",
    "integration/test_output_forms.py::test_what_is_pushed_by_digest_has_no_tag",
)
_CONTEXTS = "integration/fetch/test_contexts.py::test_"
_PLATFORMS = "integration/test_platforms.py::test_"
_TAKEN = (f"{_DOCKER}what_leaves_nothing_out_is_taken_without_a_word",)
_WARNED = (f"{_DOCKER}what_is_left_out_is_one_warning_and_the_image_is_the_same",)
_REFUSED = (f"{_DOCKER}a_flag_that_is_not_there_is_an_error_that_says_why",)
_PROVENANCE = (
    "integration/test_attestations.py::test_what_buildkit_says_of_the_same_build",
    "unit/cli/test_attest_flags.py::test_what_is_asked_for",
)
_SPDX = "unit/inspection/test_spdx.py::test_"

LANGUAGE = (
    Row("FROM"),
    Row("FROM --platform", (f"{_PLATFORMS}go_is_cross_compiled_without_emulation",)),
    Row("ADD"),
    Row("ADD --checksum", (f"{_ADD}another_digest_stops_the_build_at_its_line",)),
    Row("ADD --chmod"),
    Row("ADD --chown"),
    Row("ADD --exclude", (f"{_FLAGS}add_excludes_and_links",)),
    Row("ADD --keep-git-dir", (f"{_ADD}a_repository_gives_its_contents",)),
    Row("ADD --link", (f"{_FLAGS}add_excludes_and_links",)),
    Row("ADD --unpack", (f"{_ADD}archives_of_urls_are_unpacked_on_request_alone",)),
    Row("ARG"),
    Row("CMD"),
    Row("COPY"),
    Row("COPY --chmod"),
    Row("COPY --chown"),
    Row("COPY --exclude"),
    Row("COPY --from"),
    Row("COPY --link"),
    Row("COPY --parents"),
    Row("ENTRYPOINT"),
    Row("ENV"),
    Row("EXPOSE"),
    Row("HEALTHCHECK"),
    Row("HEALTHCHECK --interval"),
    Row("HEALTHCHECK --retries"),
    Row("HEALTHCHECK --start-interval"),
    Row("HEALTHCHECK --start-period"),
    Row("HEALTHCHECK --timeout"),
    Row("LABEL"),
    Row("MAINTAINER"),
    Row("ONBUILD"),
    Row("RUN"),
    Row("RUN --device", (f"{_RUNS}devices_are_refused_by_name",), "no", "no device of the machine reaches a step"),
    Row("RUN --mount"),
    Row("RUN --mount=type=bind", pattern=r"--mount=\S*type=bind"),
    Row("RUN --mount=type=cache", pattern=r"--mount=\S*type=cache"),
    Row("RUN --mount=type=secret", (f"{_RUNS}secrets_come_from_files_and_variables",)),
    Row("RUN --mount=type=ssh", (f"{_RUNS}an_agent_is_reached",)),
    Row("RUN --mount=type=tmpfs", pattern=r"--mount=\S*type=tmpfs"),
    Row("RUN --network"),
    Row("RUN --security", (f"{_RUNS}insecure_needs_to_be_allowed",)),
    Row("SHELL"),
    Row("STOPSIGNAL"),
    Row("USER"),
    Row("VOLUME"),
    Row("WORKDIR"),
    Row("heredocs", pattern=r"<<-?[\"']?\w"),
    Row("# check", ("unit/dockerfile/test_lint.py::test_check_options",)),
    Row("# escape", pattern=r"(?m)\A#\s*escape\s*="),
    Row("# syntax", ("unit/dockerfile/test_parser.py::test_known_frontends_are_read_here",)),
    Row(".dockerignore", ("golden/test_patterns.py::test_what_is_left_out",)),
)
"""The Dockerfile's instructions, their flags and what else a file may hold."""

DOCKER_FLAGS = (
    Row("--add-host", (f"{_RUNS}hosts_limits_and_sizes",)),
    Row("--allow", (f"{_RUNS}insecure_needs_to_be_allowed",), "partly", "`security.insecure` and `network.host`"),
    Row("--annotation", (f"{_FLAGS}tags_labels_and_annotations", f"{_FORMS}annotations_go_where_their_prefix_says")),
    Row("--attest", _PROVENANCE, "partly", "provenance in version v1; no `generator` of SBOMs"),
    Row("--build-arg", (f"{_FLAGS}file_target_and_build_args", f"{_FLAGS}a_build_argument_from_the_environment")),
    Row("--build-context", (f"{_FLAGS}named_contexts", f"{_CONTEXTS}named_contexts")),
    Row("--builder", _WARNED, "partly", "taken with a warning: there is one builder"),
    Row(
        "--cache-from",
        (f"{_CACHES}a_registry_s_cache_leaves_nothing_to_do", f"{_CACHES}an_image_carries_its_own_cache"),
    ),
    Row(
        "--cache-to",
        (f"{_CACHES}what_there_is_not_is_refused_before_anything_runs",),
        "partly",
        "not `gha`, `s3`, `azblob`",
    ),
    Row("--call", (f"{_FLAGS}checks_and_calls_build_nothing",)),
    Row("--cgroup-parent", ("integration/sandbox/test_limits.py::test_a_cgroup_for_steps",)),
    Row("--check", (f"{_FLAGS}checks_and_calls_build_nothing",)),
    Row("--compress", _TAKEN),
    Row("--cpu-period", _REFUSED, "no", "no CPU limits"),
    Row("--cpu-quota", _REFUSED, "no", "no CPU limits"),
    Row("--cpu-shares", _REFUSED, "no", "no CPU limits"),
    Row("--cpuset-cpus", _REFUSED, "no", "no CPU limits"),
    Row("--cpuset-mems", _REFUSED, "no", "no CPU limits"),
    Row("--debug", _REFUSED, "no", "`PYOCI_DEBUG=1` shows where an error comes from"),
    Row("--disable-content-trust", _TAKEN),
    Row("--file", (f"{_FLAGS}file_target_and_build_args", f"{_FLAGS}contexts_on_standard_input")),
    Row("--force-rm", _TAKEN),
    Row("--iidfile", (f"{_FLAGS}ids_and_metadata_in_files",)),
    Row("--isolation", (f"{_RUNS}a_mode_that_is_asked_for_is_taken",), "partly", "names a mode of the sandbox instead"),
    Row("--label", (f"{_FLAGS}tags_labels_and_annotations",)),
    Row("--load", (f"{_FLAGS}every_kind_of_output",), "partly", "into pyoci's store, not into an engine"),
    Row("--memory", (f"{_RUNS}memory_has_an_end",)),
    Row("--memory-swap", _REFUSED, "no", "no limit of swap"),
    Row("--metadata-file", (f"{_FLAGS}ids_and_metadata_in_files",)),
    Row("--network", (f"{_RUNS}the_network",)),
    Row("--no-cache", (f"{_FLAGS}without_the_cache",)),
    Row("--no-cache-filter", (f"{_FLAGS}without_the_cache",)),
    Row("--output", (f"{_FLAGS}every_kind_of_output", *_FORM_TESTS), "partly", "no `compression=estargz`"),
    Row("--platform", (f"{_FLAGS}a_platform_and_several", f"{_PLATFORMS}go_is_cross_compiled_without_emulation")),
    Row("--policy", _REFUSED, "no", "source policies are not read"),
    Row("--progress", (f"{_FLAGS}quiet_is_the_id_alone", "unit/cli/test_progress_json.py::test_a_build_in_json")),
    Row("--provenance", _PROVENANCE, "partly", "in version v1, and only where it is asked for"),
    Row("--pull", (f"{_PLATFORMS}an_index_is_pushed_and_its_base_is_asked_for_again",)),
    Row("--push", (f"{_PLATFORMS}an_index_is_pushed_and_its_base_is_asked_for_again",)),
    Row("--quiet", (f"{_FLAGS}quiet_is_the_id_alone",)),
    Row("--rm", _TAKEN, "partly", "`--rm=false` is taken with a warning"),
    Row(
        "--sbom",
        ("integration/test_attestations.py::test_packages_are_those_that_the_tools_know", f"{_SPDX}package_urls"),
        "partly",
        "SPDX 2.3 by pyoci itself: no `generator`",
    ),
    Row("--secret", (f"{_RUNS}secrets_come_from_files_and_variables",)),
    Row("--security-opt", _REFUSED, "no", "`RUN --security=insecure` with `--allow`"),
    Row("--shm-size", (f"{_RUNS}hosts_limits_and_sizes",)),
    Row("--squash", ("integration/test_squash.py::test_the_files_are_the_same_and_what_was_removed_is_gone",)),
    Row("--ssh", (f"{_RUNS}an_agent_is_reached",)),
    Row("--tag", (f"{_FLAGS}tags_labels_and_annotations",)),
    Row("--target", (f"{_FLAGS}file_target_and_build_args",)),
    Row("--ulimit", (f"{_RUNS}hosts_limits_and_sizes",)),
)
"""Flags of `docker build` and `docker buildx build`, deprecated ones too."""

OWN_FLAGS = frozenset(
    {
        *("--ca-bundle", "--store", "--step-timeout", "--insecure-registry"),
        *("--ca-file", "--cert-dir", "--config"),
        *("--preflight", "--preflight-for", "--preflight-skip"),
    }
)
"""Flags of `pyoci build` that docker does not have."""


def known_language() -> set[str]:
    """Names of rows that the parser's own tables ask for."""
    flags = {
        "ADD": parse_files._ADD_FLAGS,
        "COPY": parse_files._COPY_FLAGS,
        "FROM": parser._FROM_FLAGS,
        "HEALTHCHECK": parse_commands._HEALTHCHECK_FLAGS,
        "RUN": parse_commands._RUN_FLAGS,
    }
    return {*KEYWORDS, *(f"{keyword} --{flag}" for keyword, names in flags.items() for flag in names)}


def flags_of_build() -> set[str]:
    """Long flags that `pyoci build` knows, refused ones too."""
    build = make_parser("build", "")
    add_arguments(build)
    names = {name for action in build._actions for name in action.option_strings if name.startswith("--")}
    assert any(isinstance(action, argparse._HelpAction) for action in build._actions)
    return {name for name in names if "=" not in name} - {"--help"}


@cache
def _cases() -> tuple[Case, ...]:
    return tuple(case for case in read_cases() if case.name not in KNOWN and not case.fails)


@cache
def recorded(row: Row) -> tuple[str, ...]:
    """Names of the recorded builds that use it, that succeed, and that pyoci is held to without a known difference."""
    if row.name == ".dockerignore":
        return tuple(c.name for c in _cases() if any(n.path.endswith(".dockerignore") for n in c.nodes))
    keyword, _, flag = row.name.partition(" ")
    text = row.pattern
    if not text and keyword in KEYWORDS:
        text = rf"(?im)^[ \t]*(?:ONBUILD[ \t]+)?{keyword}[ \t]" + (rf"[^\n]*{re.escape(flag)}\b" if flag else "")
    return tuple(case.name for case in _cases() if text and re.search(text, case.dockerfile))


def is_test(name: str) -> bool:
    """Whether `FILE::FUNCTION` is a test that pytest collects."""
    file, _, function = name.partition("::")
    path = _TESTS / file
    return path.name.startswith("test_") and path.is_file() and function in _functions(path)


@cache
def _functions(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text())
    return frozenset(n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name.startswith("test_"))
