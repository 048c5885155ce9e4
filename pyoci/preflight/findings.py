"""What preflight has to say, as values: rules with their names, findings with their reason, mend and place.

A finding names what caused it (`entrypoint`, `layer 3`) rather than a line, so that what was found once can be kept and
shown again for a Dockerfile whose lines have moved.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Literal

from pyoci.errors import UsageError
from pyoci.location import Location
from pyoci.values import asdict, dataclass, field, replace

__all__ = [
    "RULES",
    "Audience",
    "Finding",
    "Rule",
    "Severity",
    "decode_findings",
    "encode_findings",
    "finding",
    "known_rules",
    "located_at",
]

Severity = Literal["error", "warning", "note"]
"""An error: the image cannot do what it is configured to. A warning: it will fail when it does something that it is
made to do. A note: worth knowing, and no fault."""

Audience = Literal["", "kubernetes"]
"""Whose rules count besides those that every runtime has."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that is looked for. `--skip` and `# check=skip=` know it by its name."""

    name: str
    severity: Severity
    summary: str


def _table(*rules: Rule) -> Mapping[str, Rule]:
    return {rule.name: rule for rule in rules}


RULES = _table(
    Rule("ProgramNotFound", "error", "the entrypoint or command is not in the image"),
    Rule("ProgramNotExecutable", "error", "the user may not execute the program, or not read the script"),
    Rule("ProgramUnreachable", "error", "the user may not search a directory above the program"),
    Rule("NotAProgram", "error", "what is to be executed is no program that Linux knows"),
    Rule("WrongArchitecture", "error", "the program is for another processor or system than the image"),
    Rule("ProgramTruncated", "error", "the program's file ends too early"),
    Rule("InterpreterMissing", "error", "the dynamic loader that the program names is not in the image"),
    Rule("InterpreterUnusable", "error", "the dynamic loader that the program names cannot be executed"),
    Rule("LibraryMissing", "error", "a shared library is not where the loader looks"),
    Rule("SymbolVersionMissing", "error", "a shared library is older than what the program was linked against"),
    Rule("SymbolMissing", "error", "no library defines a symbol that the loader wants at start"),
    Rule("ScriptInterpreterMissing", "error", "the interpreter in a script's first line is not in the image"),
    Rule("ScriptCarriageReturn", "error", "a script's first line ends in CR LF"),
    Rule("ScriptRecursion", "error", "scripts are each other's interpreters"),
    Rule("ShellMissing", "error", "the shell form is used, and there is no shell"),
    Rule("ShellCommandNotFound", "error", "the command that the shell is to run is not in the image"),
    Rule("UserUnknown", "error", "USER names a user that the image does not know"),
    Rule("GroupUnknown", "error", "USER names a group that the image does not know"),
    Rule("WorkdirNotDirectory", "error", "WORKDIR is something else than a directory"),
    Rule("SecretLeaked", "error", "a secret of this build is in the image"),
    Rule("RootUser", "error", "Kubernetes with runAsNonRoot refuses an image that runs as root"),
    Rule("NonNumericUser", "error", "Kubernetes with runAsNonRoot cannot tell who a user name is"),
    Rule("NoCommand", "note", "the image has neither an entrypoint nor a command"),
    Rule("HealthcheckCannotRun", "warning", "the health check's command cannot be executed"),
    Rule("WrongVariant", "warning", "the program needs a newer processor than the image's platform promises"),
    Rule("CertificatesMissing", "warning", "a Go program speaks TLS, and there are no certificates to trust"),
    Rule("TimeZonesMissing", "warning", "a Go program loads time zones, and there are none"),
    Rule("AccountsMissing", "warning", "a Go program looks users up, and there is no /etc/passwd"),
    Rule("PrivilegedPort", "warning", "a port below 1024 for a user who is not root"),
    Rule("SignalSwallowed", "warning", "the shell does not pass the stop signal on"),
    Rule("WritablePath", "note", "directories that the user can write, which a read-only root takes away"),
    Rule("UncommittedChanges", "note", "a Go program was built from a working copy with changes"),
    Rule("RaceDetector", "note", "a Go program was built with -race"),
    Rule("DebugBuild", "note", "a Go program was built without optimisation"),
    Rule("DebugInformation", "note", "a Go program carries debug information"),
    Rule("NotExamined", "note", "a file that could not be looked at"),
)
"""Every rule by its name, in the order of the documentation."""

_ORDER: Mapping[Severity, int] = {"error": 0, "warning": 1, "note": 2}


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault, or one thing worth knowing."""

    rule: str
    severity: Severity
    path: str
    """What it is about: an absolute path in the image, or empty."""
    message: str
    """The reason: one line, lower case, in the user's own words."""
    hint: str = ""
    """The mend."""
    causes: tuple[str, ...] = ()
    """What in the build brought it about, the likeliest first: `layer 3`, `entrypoint`, `cmd`, `user`, `from`."""
    location: Location | None = field(default=None, compare=False)
    """The line of the Dockerfile, where there is one."""

    def line(self) -> str:
        """Message, rule and hint on one line."""
        return f"{self.message} ({self.rule})" + (f"; {self.hint}" if self.hint else "")


def finding(
    rule: str,
    message: str,
    hint: str = "",
    *,
    path: str = "",
    causes: Iterable[str] = (),
    severity: Severity | None = None,
) -> Finding:
    """A finding with the severity of its rule, unless another is given; what it quotes is made harmless to print."""
    return Finding(rule, severity or RULES[rule].severity, path, _visible(message), _visible(hint), tuple(causes))


def _visible(text: str) -> str:
    """The text on one line, with signs that a terminal would act on spelt out."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def located_at(findings: Iterable[Finding], locations: Mapping[str, Location]) -> list[Finding]:
    """The findings with their places filled in, errors first."""
    placed = [
        replace(found, location=next((locations[cause] for cause in found.causes if cause in locations), None))
        for found in findings
    ]
    return sorted(placed, key=lambda found: _ORDER[found.severity])


def known_rules(names: Iterable[str]) -> frozenset[str]:
    """The names as a set.

    Raises:
        UsageError: one of them is no rule.
    """
    wanted = frozenset(names)
    unknown = sorted(wanted - RULES.keys())
    if unknown:
        import difflib

        close = difflib.get_close_matches(unknown[0], RULES, n=1)
        raise UsageError(
            f'there is no preflight rule "{unknown[0]}"',
            hint=f'did you mean "{close[0]}"?' if close else f"the rules are {', '.join(RULES)}",
        )
    return wanted


def encode_findings(findings: Iterable[Finding]) -> bytes:
    """Findings as a record; places are left out."""
    rows = []
    for found in findings:
        row = asdict(replace(found, location=None))
        del row["location"]
        rows.append(row)
    return json.dumps(rows, separators=(",", ":"), sort_keys=True).encode("utf-8", "surrogatepass")


def decode_findings(raw: bytes) -> list[Finding] | None:
    """The findings of such a record; None if it is damaged."""
    try:
        rows = json.loads(raw)
        return [Finding(**{**row, "causes": tuple(row["causes"])}) for row in rows]
    except (ValueError, TypeError, KeyError):
        return None
