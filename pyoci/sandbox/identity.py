"""Who the processes of a sandbox believe to be, where the kernel knows one user only.

A process that changes its IDs (`su`, `setpriv`, a server's start) must read them back, and its children must have them
too. What a process inherits and keeps over execve, what a monitor outside can set, and what means nothing here is the
limit RLIMIT_RTTIME, which is about processes under a real-time policy, and days beyond any use (getrlimit(2)): its soft
value names an entry of the table here. A process whose limit is any other is root. (RLIMIT_LOCKS and RLIMIT_RSS, which
the kernel does not heed at all, are set anew by pam_limits and sudo.)

Part of the worker. Sources: credentials(7), setresuid(2), setfsuid(2), execve(2).
"""

from __future__ import annotations

import errno
import os
import resource

__all__ = ["ROOT", "UNCHANGED", "Identities", "Identity", "changed"]

UNCHANGED = 0xFFFF_FFFF
_BASE = 1 << 40
_MAXIMUM = 1 << 16


class Identity:
    """The IDs of one process. Equal to another with the same ones; never changed."""

    __slots__ = ("gids", "groups", "keeps", "uids")

    def __init__(
        self,
        uids: tuple[int, int, int],
        gids: tuple[int, int, int],
        groups: tuple[int, ...],
        *,
        keeps: bool = False,
    ) -> None:
        self.uids = uids
        """Real, effective, saved."""
        self.gids = gids
        self.groups = groups
        self.keeps = keeps
        """Whether it stays privileged until its next execve, whoever it becomes (PR_SET_KEEPCAPS)."""

    @property
    def key(self) -> tuple[object, ...]:
        return self.uids, self.gids, self.groups, self.keeps

    @property
    def may_change(self) -> bool:
        """Whether it may become anybody."""
        return not self.uids[1] or self.keeps

    def replace(
        self,
        *,
        uids: tuple[int, int, int] | None = None,
        gids: tuple[int, int, int] | None = None,
        groups: tuple[int, ...] | None = None,
        keeps: bool | None = None,
    ) -> Identity:
        """The same but for what is given."""
        return Identity(
            self.uids if uids is None else uids,
            self.gids if gids is None else gids,
            self.groups if groups is None else groups,
            keeps=self.keeps if keeps is None else keeps,
        )

    @property
    def uid(self) -> int:
        """Whom new files belong to."""
        return self.uids[1]

    @property
    def gid(self) -> int:
        return self.gids[1]

    @property
    def is_root(self) -> bool:
        """Whether new files need no record, and everything is allowed."""
        return not self.uids[1] and not self.gids[1]


ROOT = Identity((0, 0, 0), (0, 0, 0), ())


class Identities:
    """Of all processes of one sandbox. While nobody has changed its IDs nothing is asked of the kernel."""

    def __init__(self, groups: tuple[int, ...]) -> None:
        first = ROOT.replace(groups=groups)
        self._known = [first]
        self._numbers: dict[tuple[object, ...], int] = {first.key: 0}

    @property
    def first(self) -> Identity:
        """Of the command itself."""
        return self._known[0]

    @property
    def several(self) -> bool:
        """Whether any process may be another than the first."""
        return len(self._known) > 1

    def of(self, process: int) -> Identity:
        """Who a process is."""
        if len(self._known) == 1:
            return self._known[0]
        soft, _ = resource.prlimit(process, resource.RLIMIT_RTTIME)
        number = soft - _BASE
        return self._known[number] if 0 <= number < len(self._known) else self._known[0]

    def give(self, process: int, identity: Identity) -> None:
        """Makes a process, its threads, and what it starts from now on that one.

        Where the limit is not free (`--ulimit rttime=`), or after very many changes, it stays who it is.
        """
        number = self._numbers.get(identity.key)
        if number is None:
            if len(self._known) >= _MAXIMUM:
                return
            number = self._numbers[identity.key] = len(self._known)
            self._known.append(identity)
        try:
            _, hard = resource.prlimit(process, resource.RLIMIT_RTTIME)
            resource.prlimit(process, resource.RLIMIT_RTTIME, (_BASE + number, hard))
        except ValueError:
            return


def changed(name: str, before: Identity, arguments: tuple[int, ...]) -> Identity:
    """Who a process is after a call that changes user or group IDs, by the kernel's rules.

    Raises:
        OSError: EPERM, EINVAL.
    """
    values = tuple(argument & UNCHANGED for argument in arguments)
    of_user = name.endswith("uid")
    ids = _ids(name, before.uids if of_user else before.gids, values, privileged=before.may_change)
    return before.replace(uids=ids) if of_user else before.replace(gids=ids)


def _ids(name: str, before: tuple[int, int, int], values: tuple[int, ...], *, privileged: bool) -> tuple[int, int, int]:
    real, effective, saved = before
    match name:
        case "setuid" | "setgid":
            (new,) = values[:1]
            if new == UNCHANGED:
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            if privileged:
                return new, new, new
            _permit(new, (real, saved))
            return real, new, saved
        case "setreuid" | "setregid":
            new_real = real if values[0] == UNCHANGED else values[0]
            new_effective = effective if values[1] == UNCHANGED else values[1]
            if not privileged:
                _permit(new_real, (real, effective))
                _permit(new_effective, before)
            follows = values[0] != UNCHANGED or (values[1] != UNCHANGED and new_effective != real)
            return new_real, new_effective, new_effective if follows else saved
        case _:
            wanted = tuple(old if new == UNCHANGED else new for old, new in zip(before, values[:3], strict=True))
            if not privileged:
                for new in wanted:
                    _permit(new, before)
            return wanted[0], wanted[1], wanted[2]


def _permit(wanted: int, allowed: tuple[int, ...]) -> None:
    if wanted not in allowed:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
