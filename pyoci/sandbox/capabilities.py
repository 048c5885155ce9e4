"""What a machine lets a user do, as a value, and which mode follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args

from pyoci.errors import SandboxError
from pyoci.sandbox.protocols import Mode, Privilege
from pyoci.values import asdict, dataclass, field

__all__ = ["LADDER", "Capabilities", "Storage", "capabilities_from_dict", "choose_mode"]

LADDER: tuple[Mode, ...] = get_args(Mode)
"""Best first."""

Storage: TypeAlias = Literal["overlay", "memory", "fuse", "copy"]
"""How a root with layers below it is made: stacked by the kernel where the store is; stacked with the writes in memory,
since the store's file system cannot take them; stacked by fuse-overlayfs; or copied into one directory."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What `probe` found."""

    privileges: tuple[Privilege, ...]
    """One for each mode that was tried, best first; `none` is not among them."""
    refused: Mapping[str, str]
    """By mode that does not work: what the kernel, or the lack of something, said against it."""
    storage: Storage
    """In the best mode that works."""
    fuse_overlayfs: str = ""
    """Path of the program; empty where it is missing or cannot be used."""
    listener: bool = False
    """Whether owners can be recorded in single mode."""
    user_xattr: bool = False
    """Whether the store's file system keeps them."""
    landlock_abi: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Answers of the kernel by name, for `diagnosis.py` and for people."""

    def works(self, mode: Mode) -> bool:
        """Whether steps can be run in that mode. `none`, in which none can, works everywhere."""
        return mode == "none" or (mode not in self.refused and any(known.mode == mode for known in self.privileges))

    @property
    def best(self) -> Mode:
        """The highest rung that works."""
        return next(mode for mode in LADDER if self.works(mode))

    def storage_for(self, mode: Mode) -> Storage:
        """How roots are made in a mode: without namespaces nothing can be mounted."""
        return "copy" if mode in ("chroot", "none") else self.storage

    @property
    def records_owners(self) -> bool:
        """Whether single mode gives files the owners that a step asked for."""
        return self.listener and self.user_xattr

    def privilege(self, mode: Mode) -> Privilege:
        """What a worker needs for a mode.

        Raises:
            SandboxError: the mode was not found to exist here.
        """
        for known in self.privileges:
            if known.mode == mode:
                return known
        if mode == "none":
            return Privilege("none", self.privileges[0].uid, self.privileges[0].gid)
        raise SandboxError(f"isolation {mode} is not possible here", hint=self.refused.get(mode))

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it; `capabilities_from_dict` reads it back."""
        return {**asdict(self), "best": self.best}


def capabilities_from_dict(values: Mapping[str, Any]) -> Capabilities:
    """The opposite of `Capabilities.to_dict`.

    Raises:
        KeyError, TypeError: it is not what `to_dict` of this version made.
    """
    known = dict(values)
    del known["best"]
    known["privileges"] = tuple(
        Privilege(
            **{
                **privilege,
                "uid_ranges": tuple(tuple(line) for line in privilege["uid_ranges"]),
                "gid_ranges": tuple(tuple(line) for line in privilege["gid_ranges"]),
            }
        )
        for privilege in known["privileges"]
    )
    return Capabilities(**known)


def choose_mode(capabilities: Capabilities, forced: Mode | None = None) -> Mode:
    """The mode to use: the one that was asked for, else the best. `chroot` is chosen too, where nothing better works.

    Raises:
        SandboxError: the one that was asked for does not work here; the message says why.
    """
    if forced is None:
        return capabilities.best
    if not capabilities.works(forced):
        reason = capabilities.refused.get(forced, "it needs root" if forced in ("root", "chroot") else "")
        raise SandboxError(
            f"isolation {forced} is not possible here: {reason}".rstrip(": "),
            hint=f"{capabilities.best} is; `pyoci doctor` says what to change",
        )
    return forced
