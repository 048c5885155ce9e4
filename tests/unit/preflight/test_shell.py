from __future__ import annotations

import pytest

from pyoci.preflight.shell import first_command, may_swallow_signals, shell_script


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("/bin/sh", "-c", "serve"), "serve"),
        (("/bin/bash", "-o", "pipefail", "-c", "serve"), "serve"),
        (("bash", "-euxc", "serve"), "serve"),
        (("/bin/sh", "-e", "-c", "serve", "sh"), "serve"),
        (("/bin/bash", "-lc", "serve"), None),
        (("/bin/bash", "-l", "-c", "serve"), None),
        (("/bin/sh", "/run.sh"), None),
        (("/bin/sh", "/run.sh", "-c", "serve"), None),
        (("/app", "-c", "serve"), None),
        (("/bin/sh", "-c"), None),
    ],
)
def test_the_script_of_a_shell(args: tuple[str, ...], expected: str | None) -> None:
    assert shell_script(args) == expected


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("/app --flag", "/app"),
        ("  exec /app", "/app"),
        ("serve $PORT >/dev/null 2>&1", "serve"),
        ("serve && echo", "serve"),
        ("curl -f x || exit 1", "curl"),
        ("curl -f x || false", "curl"),
        ("curl -f x || echo bad", None),
        ("a | b", None),
        ("a; b", None),
        ("a &", None),
        ("a\nb", None),
        ("a `b`", None),
        ("A=1 a", None),
        ("'a b' c", None),
        ("$A b", None),
        ("./$A", None),
        ("a* b", None),
        ("(a)", None),
        ("cd /x && a", None),
        ("if a; then b; fi", None),
        ("-a", None),
        ("", None),
    ],
)
def test_the_first_command_counts_where_it_is_certain(script: str, expected: str | None) -> None:
    assert first_command(script) == expected


@pytest.mark.parametrize(
    ("script", "dash", "bash"),
    [
        ("sleep 9", True, False),
        ("A=1 sleep 9", True, False),
        ("true; sleep 9", True, False),
        ("true && sleep 9", True, False),
        ("sleep 9 | cat", True, True),
        ("sleep 9 || true", True, True),
        ("sleep 9 &\nwait", True, True),
        ("exec sleep 9", False, False),
        ("cd / && exec sleep 9", False, False),
        ("trap 'kill $!' TERM; sleep 9 & wait", False, False),
    ],
)
def test_which_shells_make_way_for_the_program(script: str, dash: bool, bash: bool) -> None:
    """As dash 0.5.12, bash 5.2 and busybox 1.35 do it; the integration tests ask them."""
    assert may_swallow_signals(script, "/usr/bin/dash") is dash
    assert may_swallow_signals(script, "/usr/bin/bash") is bash
    assert may_swallow_signals(script, "/bin/busybox") is bash


def test_nothing_is_said_of_an_unknown_shell() -> None:
    assert not may_swallow_signals("sleep 9 | cat", "/opt/fish")
