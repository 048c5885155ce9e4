"""`doctor`: what this machine allows, which isolation is chosen and why, what to change to get a better one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pyoci.api.emulation import Emulator, registered_emulators
from pyoci.api.isolation import host_of
from pyoci.api.services import Options, opened
from pyoci.errors import UsageError
from pyoci.sandbox.capabilities import LADDER, Capabilities, choose_mode
from pyoci.sandbox.diagnosis import Finding, diagnose
from pyoci.sandbox.probe import probe
from pyoci.sandbox.protocols import Mode
from pyoci.values import dataclass

__all__ = ["Diagnosis", "doctor"]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found."""

    mode: Mode
    """The isolation that builds use here."""
    findings: tuple[Finding, ...]
    capabilities: Capabilities


def doctor(*, options: Options | None = None) -> Diagnosis:
    """Probes this machine anew, for this user and the store's file system.

    Raises:
        UsageError: the isolation that was asked for is none.
        SandboxError: it does not work here, or nothing could be probed.
    """
    options = options or Options()
    forced = next((mode for mode in LADDER if mode == options.isolation), None)
    if options.isolation and forced is None:
        raise UsageError(f'unknown isolation "{options.isolation}"', hint=f"the modes are {', '.join(LADDER)}")
    with opened(options) as services:
        capabilities = probe(host_of(options.environment, services.store))
    mode = choose_mode(capabilities, forced)
    findings = diagnose(capabilities, mode)
    if mode != "none":
        findings += tuple(_emulation(registered_emulators()))
    return Diagnosis(mode, findings, capabilities)


def _emulation(emulators: Iterable[Emulator]) -> Iterator[Finding]:
    """What is said of programs for other processors."""
    known = list(emulators)
    for one in known:
        what = f"programs for {', '.join(one.architectures)} are executed by {one.interpreter}"
        if one.is_fixed:
            yield Finding("emulation", "good", what)
        else:
            cause = f"{one.name} is registered in binfmt_misc without the flag F"
            mend = "register it with F: sudo apt-get install qemu-user-static binfmt-support"
            yield Finding("emulation", "note", f"{what}, but not in the root file system of a RUN", cause, mend)
    if not known:
        yield Finding(
            "emulation",
            "note",
            "programs for other processors are not executed",
            "no emulator is to be seen in /proc/sys/fs/binfmt_misc",
            "sudo apt-get install qemu-user-static binfmt-support",
        )
