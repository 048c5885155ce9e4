"""The shell form: which words of a command line are a shell and its script, and what of the script is certain.

Shell is not interpreted here. A line counts only where its beginning is a plain word that can mean one thing.
"""

from __future__ import annotations

import re

from pyoci.regex import regex

__all__ = ["BUILTINS", "first_command", "may_swallow_signals", "shell_script"]

_SHELLS = frozenset({"sh", "ash", "bash", "dash", "ksh", "mksh", "zsh"})
_COMMAND_FLAG = regex(r"-[euxv]*c")
_WORD = regex(r"(?:exec\s+)?([A-Za-z0-9_./+-]+)(?=\s|$)")
_FAILURE_ONLY = regex(r"\|\|\s*(?:exit\s+[1-9]\d*|false)\s*$")
_SEPARATORS = regex(r"[|;\n`]|(?<![&0-9><])&(?!&)")
_EXEC = regex(r"(?:^|[;&|\n({]|then|do|else)\s*exec\s")
# fmt: off
BUILTINS = frozenset({
    ".", ":", "[", "alias", "bg", "break", "builtin", "case", "cd", "command", "continue", "declare", "dirs",
    "do", "done", "echo", "elif", "else", "enable", "esac", "eval", "exec", "exit", "export", "false", "fc",
    "fg", "fi", "for", "function", "getopts", "hash", "help", "history", "if", "in", "jobs", "kill", "let",
    "local", "logout", "mapfile", "popd", "printf", "pushd", "pwd", "read", "readarray", "readonly", "return",
    "select", "set", "shift", "shopt", "source", "suspend", "test", "then", "time", "times", "trap", "true",
    "type", "typeset", "ulimit", "umask", "unalias", "unset", "until", "wait", "while",
})
# fmt: on
"""Words that shells know without looking in PATH."""


def shell_script(args: tuple[str, ...]) -> str | None:
    """The script of `sh -c SCRIPT`; None for anything else, and for a login shell, which sets a PATH of its own."""
    if len(args) < 3 or args[0].rpartition("/")[2] not in _SHELLS:
        return None
    for number, word in enumerate(args[1:-1], 1):
        if _COMMAND_FLAG.fullmatch(word):
            return args[number + 1]
        if not word.startswith(("-", "+")) and args[number - 1] not in ("-o", "+o"):
            return None
        if "l" in word.lstrip("-") and not word.startswith("--") and word != "pipefail":
            return None
    return None


def first_command(script: str) -> str | None:
    """The program that a script runs first and cannot do without; None where that is not certain."""
    line = _FAILURE_ONLY.sub("", script.strip())
    found = _WORD.match(line)
    if found is None or _SEPARATORS.search(line):
        return None
    word = found[1]
    return None if word in BUILTINS or word.startswith("-") else word


def may_swallow_signals(script: str, shell: str) -> bool:
    """Whether the shell stays between the runtime and the program and does not pass signals on.

    `shell` is the file that is the shell in the end. dash stays unless it is told to `exec`; bash and busybox make way
    for the last command of a plain script.
    """
    if "trap " in script or _EXEC.search(script.strip()):
        return False
    name = shell.rpartition("/")[2]
    if name in ("bash", "busybox", "zsh", "mksh", "ksh"):
        return _SEPARATORS.search(re.sub(r"[;\n]+", " ", script.strip())) is not None
    return name == "dash"
