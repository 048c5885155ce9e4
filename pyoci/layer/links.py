"""Where the names in a layer lead once its own symbolic links are followed: `bin/x` behind `bin -> usr/bin` is
`usr/bin/x`.

Engines unpack one entry after the other and resolve its directory among what the layer has put there so far, inside the
root; links of the layers below are not seen, and not followed (as in containerd and docker). Here that is done with the
names alone, so that whoever unpacks need not follow a link on a disk.
"""

from __future__ import annotations

from pyoci.errors import LayerError
from pyoci.layer.entry import Change, Entry, LayerPath, Opaque, Remove, Upsert
from pyoci.layer.paths import layer_path
from pyoci.layer.whiteout import refuse_marker_name
from pyoci.values import replace

__all__ = ["OwnLinks"]

_LINK_LIMIT = 255
"""Links that one name may lead through, as in containerd."""
_STEP_LIMIT = 50_000_000
"""Components that are looked up for one layer: more than two million entries behind links need, which can be made so
that each of them needs a hundred thousand.
"""


class _Name:
    """One name of the layer that is a symbolic link, or has some below it."""

    __slots__ = ("below", "target")

    def __init__(self) -> None:
        self.below: dict[str, _Name] = {}
        self.target: str | None = None


class OwnLinks:
    """The symbolic links that a layer has made so far. Takes its changes in the order of the tar."""

    def __init__(self) -> None:
        self._root = _Name()
        self._steps = 0
        self._direct: set[str] = {""}
        """Directories that were looked up and lead through no link, with all above them."""

    def followed(self, change: Change) -> Change:
        """The change at the path where it really is.

        Raises:
            LayerError: links lead in a circle, too far, or to a name that is none.
        """
        if isinstance(change, Upsert):
            entry = self._entry(change.entry)
            self._note(entry)
            return change if entry is change.entry else Upsert(entry)
        if not self._root.below:
            return change
        if isinstance(change, Remove):
            path = self._in_place(change.path)
            return change if path == change.path else Remove(path)
        path = self._directory(change.path)
        return change if path == change.path else Opaque(path)

    def _entry(self, entry: Entry) -> Entry:
        if not self._root.below:
            return entry
        path = self._in_place(entry.path)
        link = self._in_place(LayerPath(entry.link)) if entry.type == "hardlink" else entry.link
        if path == entry.path and link == entry.link:
            return entry
        return replace(entry, path=path, link=link)

    def _note(self, entry: Entry) -> None:
        path = entry.path
        target = entry.link if entry.type == "symlink" else None
        if entry.type == "hardlink":
            known = self._find(entry.link)
            target = known.target if known else None  # another name of a symbolic link is one as well
        if target is None:
            self._forget(path, keeps_below=entry.type == "dir")
            return
        at = self._root
        for part in path.split("/"):
            at = at.below.setdefault(part, _Name())
        at.target = target
        at.below = {}
        if path in self._direct:
            self._direct = {""}

    def _find(self, path: str) -> _Name | None:
        at: _Name | None = self._root
        for part in path.split("/"):
            at = at.below.get(part) if at is not None else None
        return at

    def _forget(self, path: str, *, keeps_below: bool) -> None:
        """Something else is at the path now: a directory, which may have been there before, or what replaced one."""
        if not self._root.below:
            return
        directory, _, name = path.rpartition("/")
        above = self._find(directory) if directory else self._root
        known = above.below.get(name) if above is not None else None
        if above is None or known is None:
            return
        if keeps_below:
            known.target = None
        else:
            del above.below[name]

    def _in_place(self, path: LayerPath) -> LayerPath:
        """The path with its directory followed; what is at its own name stays."""
        directory, slash, name = path.rpartition("/")
        if directory in self._direct:
            return path
        real = self._directory(LayerPath(directory))
        return path if real == directory else layer_path(f"{real}{slash}{name}")

    def _directory(self, path: LayerPath) -> LayerPath:
        if path in self._direct:
            return path
        real: list[str] = []
        names: list[_Name | None] = [self._root]
        """What is known of each component of `real`, after the root."""
        waiting = path.split("/")[::-1]
        links = 0
        while waiting:
            self._steps += 1
            part = waiting.pop()
            if part == "..":
                del real[-1:]  # above the root is the root
                del names[len(real) + 1 :]
            elif part not in ("", "."):
                above = names[-1]
                known = above.below.get(part) if above is not None else None
                real.append(part)
                names.append(known)
                if known is not None and known.target is not None:
                    links += 1
                    if links > _LINK_LIMIT:
                        raise LayerError(f'"{path}" leads through more than {_LINK_LIMIT} symbolic links')
                    if self._steps > _STEP_LIMIT:
                        raise LayerError(f'symbolic links of the layer lead too far: at "{path[:200]}"')
                    del real[0 if known.target.startswith("/") else -1 :]
                    del names[len(real) + 1 :]
                    waiting += known.target.split("/")[::-1]
        if links:
            followed = layer_path("/".join(real))
            refuse_marker_name(followed)
            return followed
        step = str(path)
        while step not in self._direct:
            self._direct.add(step)
            step = step.rpartition("/")[0]
        return path
