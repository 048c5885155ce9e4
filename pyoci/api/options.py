"""How one call of the API works, whatever it is asked for."""

from __future__ import annotations

from pathlib import Path

from pyoci.environment import Environment, current_environment
from pyoci.progress import Reporter
from pyoci.values import dataclass, field

__all__ = ["Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """How to work, whatever is asked for."""

    environment: Environment = field(default_factory=current_environment)
    reporter: Reporter = field(default_factory=Reporter)
    insecure_registries: tuple[str, ...] = ()
    """Hosts that may speak plain HTTP, or TLS that cannot be verified."""
    ca_files: tuple[Path, ...] = ()
    """Certificate authorities to trust beside the system's."""
    cert_dirs: tuple[Path, ...] = ()
    """Directories with CAs (`*.crt`) and client certificates (`*.cert` with `*.key`) for every registry."""
    config: Path | None = None
    """A configuration file instead of the user's."""
    offline: bool = False
    """Any use of the network is an error."""
    isolation: str = ""
    """A rung of the sandbox's ladder; empty takes the best that works here."""
