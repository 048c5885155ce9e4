"""What pyoci takes from its process: the only module that reads environment, clock, uid and working directory.

Everything else is handed a frozen `Environment`, so that a test builds its own world in a temporary directory.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from pyoci.platforms import Platform, platform_of_machine
from pyoci.values import dataclass, field

__all__ = ["Environment", "current_environment", "epoch_seconds"]


@dataclass(frozen=True, slots=True)
class Environment:
    """One machine and user as the library sees them."""

    store: Path
    """Directory of the content store."""
    working_directory: Path
    """What relative paths are relative to."""
    home: Path
    uid: int
    gid: int
    platform: Platform
    """Of this machine: the default target, and where build stages run."""
    now: int
    """Seconds since the epoch. Never enters an image."""
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The process environment: values of `--build-arg NAME`, secrets, proxies, registry configuration."""

    def path(self, text: str | Path) -> Path:
        """An absolute path for one that the user typed."""
        return self.working_directory / text

    @property
    def source_date_epoch(self) -> str:
        """SOURCE_DATE_EPOCH as it is; empty where it is not set. What it means depends on the build."""
        return self.variables.get("SOURCE_DATE_EPOCH", "")


def epoch_seconds(text: str) -> int | None:
    """A whole number of seconds since 1970-01-01 00:00:00 UTC, up to the year 5138; None if the text is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 11 else None


def current_environment(store: str | Path | None = None) -> Environment:
    """The environment of this process.

    The store is `store`, else `$PYOCI_HOME`, else `pyoci` below `$XDG_DATA_HOME` or `~/.local/share`.
    """
    variables = dict(os.environ)
    working_directory = Path.cwd()
    home = Path(variables.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111 (Path.expanduser fails without HOME)
    if store is None:
        data = variables.get("XDG_DATA_HOME") or home / ".local" / "share"
        store = variables.get("PYOCI_HOME") or Path(data) / "pyoci"
    system = os.uname()
    return Environment(
        store=working_directory / store,
        working_directory=working_directory,
        home=home,
        uid=os.geteuid(),
        gid=os.getegid(),
        platform=platform_of_machine(system.sysname, system.machine),
        now=int(time.time()),
        variables=variables,
    )
