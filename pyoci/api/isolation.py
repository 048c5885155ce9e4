"""Which rung of the sandbox's ladder is used on this machine, and what stands on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from pyoci.environment import Environment
from pyoci.errors import UsageError
from pyoci.sandbox.protocols import Mode
from pyoci.store import Store
from pyoci.values import dataclass

if TYPE_CHECKING:
    from pyoci.api.services import Options
    from pyoci.sandbox.capabilities import Capabilities, Storage
    from pyoci.sandbox.namespace_sandbox import NamespaceSandbox
    from pyoci.sandbox.probe import Host
    from pyoci.sandbox.worker import Worker

__all__ = ["Isolation", "find_isolation", "host_of"]


@dataclass(frozen=True, slots=True)
class Isolation:
    """A mode that works here."""

    mode: Mode
    capabilities: Capabilities

    scratch: Path
    """Where the worker keeps in memory what the store's file system cannot take."""

    @property
    def storage(self) -> Storage:
        """How layers are stacked."""
        return self.capabilities.storage_for(self.mode)

    def worker(self) -> Worker:
        """The worker; it is started by its first request."""
        from pyoci.sandbox.worker import Worker
        from pyoci.snapshot.operations import OPERATIONS

        covered = [self.scratch] if self.storage == "memory" else []
        for path in covered:
            path.mkdir(exist_ok=True)
        return Worker(
            self.capabilities.privilege(self.mode),
            operations=("pyoci.sandbox.execute:run", *OPERATIONS),
            scratch=covered,
        )

    def sandbox(self, worker: Worker, warn: Callable[[str], None]) -> NamespaceSandbox:
        """A sandbox that runs processes through a worker."""
        from pyoci.sandbox.namespace_sandbox import NamespaceSandbox

        return NamespaceSandbox(worker, fuse_overlayfs=self.capabilities.fuse_overlayfs, warn=warn)


def host_of(environment: Environment, store: Store) -> Host:
    """What a probe is told of this machine and user."""
    import pwd

    from pyoci.sandbox.probe import Host

    try:
        user = pwd.getpwuid(environment.uid).pw_name
    except KeyError:
        user = ""
    path = environment.variables.get("PATH", "/usr/local/bin:/usr/bin:/bin")
    return Host(environment.uid, environment.gid, user, path, store.root)


def find_isolation(options: Options, store: Store) -> Isolation:
    """The mode that was asked for, else the best one; probed once per start of the machine.

    Raises:
        UsageError: there is no such mode.
        SandboxError: it does not work here.
    """
    from pyoci.sandbox.capabilities import choose_mode
    from pyoci.sandbox.probe import probe_once

    forced = options.isolation or None
    if forced is not None and forced not in get_args(Mode):
        raise UsageError(f'unknown isolation "{forced}"', hint=f"the modes are {', '.join(get_args(Mode))}")
    capabilities = probe_once(host_of(options.environment, store), store.root / "tmp" / "capabilities.json")
    return Isolation(
        choose_mode(capabilities, cast("Mode | None", forced)), capabilities, store.root / "tmp" / "memory"
    )
