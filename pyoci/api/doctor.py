"""`doctor`: what this machine allows, which isolation is chosen and why, what to change to get a better one."""

from __future__ import annotations

from dataclasses import dataclass

from pyoci.api.isolation import host_of
from pyoci.api.services import Options, opened
from pyoci.errors import UsageError
from pyoci.sandbox.capabilities import LADDER, Capabilities, choose_mode
from pyoci.sandbox.diagnosis import Finding, diagnose
from pyoci.sandbox.probe import probe
from pyoci.sandbox.protocols import Mode

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
    return Diagnosis(mode, diagnose(capabilities, mode), capabilities)
