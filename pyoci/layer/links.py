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


class OwnLinks:
    """The symbolic links that a layer has made so far. Takes its changes in the order of the tar."""

    def __init__(self) -> None:
        self._targets: dict[str, str] = {}
        self._holding: set[str] = set()
        """Directories with links somewhere below; some may be gone."""
        self._direct: set[str] = {""}
        """Directories that were looked up and lead through no link, with all above them."""

    def followed(self, change: Change) -> Change:
        """The change at the path where it really is.

        Raises:
            LayerError: links lead in a circle, or to a name that is none.
        """
        if isinstance(change, Upsert):
            entry = self._entry(change.entry)
            self._note(entry)
            return change if entry is change.entry else Upsert(entry)
        if not self._targets:
            return change
        if isinstance(change, Remove):
            path = self._in_place(change.path)
            return change if path == change.path else Remove(path)
        path = self._directory(change.path)
        return change if path == change.path else Opaque(path)

    def _entry(self, entry: Entry) -> Entry:
        if not self._targets:
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
            target = self._targets.get(entry.link)  # another name of a symbolic link is one as well
        if entry.type != "dir" and path in self._holding:
            self._forget_below(path)
        if target is None:
            if self._targets:
                self._targets.pop(path, None)
            return
        self._targets[path] = target
        if path in self._direct:
            self._direct = {""}
        while path:
            path = LayerPath(path.rpartition("/")[0])
            if path in self._holding:
                break
            self._holding.add(path)

    def _forget_below(self, path: str) -> None:
        """A directory is replaced by something else."""
        below = f"{path}/"
        for link in [link for link in self._targets if link.startswith(below)]:
            del self._targets[link]
        self._holding = {
            directory for directory in self._holding if directory != path and not directory.startswith(below)
        }

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
        waiting = path.split("/")[::-1]
        links = 0
        while waiting:
            part = waiting.pop()
            if part == "..":
                del real[-1:]  # above the root is the root
            elif part not in ("", "."):
                real.append(part)
                target = self._targets.get("/".join(real))
                if target is not None:
                    links += 1
                    if links > _LINK_LIMIT:
                        raise LayerError(f'"{path}" leads through more than {_LINK_LIMIT} symbolic links')
                    if target.startswith("/"):
                        real.clear()
                    else:
                        real.pop()
                    waiting += target.split("/")[::-1]
        if links:
            followed = layer_path("/".join(real))
            refuse_marker_name(followed)
            return followed
        step = str(path)
        while step not in self._direct:
            self._direct.add(step)
            step = step.rpartition("/")[0]
        return path
