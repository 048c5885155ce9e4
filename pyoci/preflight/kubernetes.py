"""Whether an image is ready for Kubernetes: what `runAsNonRoot`, a read-only root and orderly termination ask of it.

Spec: Kubernetes' Pod Security Standards ("restricted"), security contexts, and pod lifecycle.
"""

from __future__ import annotations

from collections.abc import Iterator

from pyoci.preflight.access import may_write
from pyoci.preflight.accounts import user_number
from pyoci.preflight.commands import main_command
from pyoci.preflight.findings import Finding, finding
from pyoci.preflight.lookup import locate
from pyoci.preflight.shell import may_swallow_signals, shell_script
from pyoci.preflight.subject import Subject

__all__ = ["kubernetes_findings"]

_FIRST_FREE_PORT = 1024
_SHOWN = 6
_WRITTEN_BY_RUNTIMES = ("dev", "proc", "sys")


def kubernetes_findings(subject: Subject) -> Iterator[Finding]:
    """Everything that only Kubernetes minds."""
    yield from _user(subject)
    yield from _ports(subject)
    yield from _signals(subject)
    yield from _writable(subject)


def _user(subject: Subject) -> Iterator[Finding]:
    name = subject.config.user.partition(":")[0]
    number = user_number(name or "0")
    if number == 0 or (number is None and subject.account.uid == 0):
        yield finding(
            "RootUser",
            "the image runs as root: container has runAsNonRoot and image will run as root",
            "set USER to a number other than 0, such as 65532, and let it read what it needs",
            causes=("user", "from"),
        )
    elif number is None:
        yield finding(
            "NonNumericUser",
            f'USER "{name}" is a name: container has runAsNonRoot and image has non-numeric user ({name})',
            f"write its number: USER {subject.account.uid}:{subject.account.gid}",
            causes=("user", "from"),
        )


def _ports(subject: Subject) -> Iterator[Finding]:
    if subject.account.uid == 0:
        return
    for port in subject.config.exposed_ports:
        number = port.partition("/")[0]
        if number.isascii() and number.isdigit() and 0 < int(number[:6]) < _FIRST_FREE_PORT:
            yield finding(
                "PrivilegedPort",
                f"port {port} is below {_FIRST_FREE_PORT}, and {subject.account} is not root: bind: permission denied "
                "unless the runtime allows it",
                "listen on a port such as 8080, and let the Service map it",
                causes=("expose", "from"),
            )


def _signals(subject: Subject) -> Iterator[Finding]:
    command = main_command(subject.config)
    script = shell_script(command.args) if command else None
    if command is None or script is None:
        return
    shell = locate(subject, command.args[0]).reached
    if shell is None or shell.obstacle is not None or not may_swallow_signals(script, shell.path):
        return
    signal = subject.config.stop_signal or "SIGTERM"
    yield finding(
        "SignalSwallowed",
        f"the {command.name} is in shell form, and its shell ({shell.path}) does not pass {signal} on: "
        "the program is killed when the grace period is over",
        "write it in exec form, or put exec before the last command",
        causes=command.causes,
    )


def _writable(subject: Subject) -> Iterator[Finding]:
    """Directories that are the user's own: what is made writable for a program is mostly written."""
    account = subject.account
    if account.uid == 0:
        return
    found: list[str] = []
    for entry in subject.tree.walk():
        path = f"/{entry.path}"
        if entry.type != "dir" or entry.path.partition("/")[0] in _WRITTEN_BY_RUNTIMES:
            continue
        if found and path.startswith(found[-1] + "/"):
            continue
        is_own = entry.uid == account.uid or (entry.gid in account.groups and entry.gid != 0)
        is_shared = bool(entry.mode & 0o1000)
        if (is_own or is_shared) and may_write(entry, account) and not subject.is_mounted(path):
            found.append(path)
    if found:
        more = len(found) - _SHOWN
        shown = ", ".join(found[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
        yield finding(
            "WritablePath",
            f"under a read-only root file system {account} can no longer write {shown}",
            "mount an emptyDir where the program writes",
            path=found[0],
            causes=("user", "from"),
        )
