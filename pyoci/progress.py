"""What happens during a build, pull or push, as events. Printers implement them; nothing here prints.

Every method may be called from any thread and must return quickly. Sizes are bytes.
"""

from __future__ import annotations

from typing import Literal

from pyoci.location import Location

__all__ = ["Reporter", "TransferKind", "TransferOutcome"]

TransferKind = Literal["pull", "push", "copy", "export", "unpack"]
TransferOutcome = Literal["done", "exists", "mounted"]


class Reporter:
    """Events with empty bodies: a class that wants to know overrides what it cares about."""

    def step_started(self, step: str, title: str) -> None:
        """A vertex of the build graph begins; `step` is its ID in this build, `title` what the user reads."""

    def step_cached(self, step: str, title: str) -> None:
        """A vertex was found in the cache; it does not start."""

    def step_done(self, step: str) -> None:
        """A started vertex succeeded."""

    def step_failed(self, step: str, message: str) -> None:
        """A started vertex failed."""

    def step_output(self, step: str, data: bytes) -> None:
        """Bytes that the command of a vertex printed, in order, unbuffered."""

    def transfer_started(self, name: str, kind: TransferKind, total_bytes: int) -> None:
        """Bytes of one blob or archive begin to move; `name` is unique among those under way."""

    def transfer_advanced(self, name: str, done_bytes: int) -> None:
        """`done_bytes` in all have moved."""

    def transfer_done(self, name: str, outcome: TransferOutcome) -> None:
        """Moved, or found to be there already, or mounted from another repository."""

    def message(self, text: str) -> None:
        """One line that is worth knowing, such as what a reference resolved to."""

    def warning(self, text: str, *, location: Location | None = None) -> None:
        """Something that does not stop the work but should be looked at."""
