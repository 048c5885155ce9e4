"""Puts a root file system together in a private mount namespace: its directories, its stubs, the way into it.

A mount needs something to be mounted on. What an image lacks (`/proc`, `/run/secrets/token`, …) must not be made in the
directory that takes the writes, where it would become part of the layer: it is made in a *stub*, a directory of empty
mount points that is stacked between the image and the writes. Existing parents are repeated in the stub with their own
mode, owner, time and attributes, since the uppermost directory of a stack decides those.

Part of the worker.
"""

from __future__ import annotations

import fcntl
import os
import stat

from pyoci.sandbox import mounting, namespaces
from pyoci.sandbox.failure import Attempt, Failure, reason_of
from pyoci.sandbox.resolve import open_inside, walk

__all__ = ["Stage", "open_directories", "stack"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

    from pyoci.sandbox.messages import RootMessage
    from pyoci.sandbox.resolve import Place

    Made: TypeAlias = tuple[list[list[str]], int, int]
    """Mount points made in the root itself: paths, outermost first, and the time of their parent before and after."""
    Target: TypeAlias = tuple[str, bool, bytes | None]
    """Where something will be: its path, whether that is a directory, and what a file that lies beneath holds."""

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_OVERLAY_MARKS = ("user.overlay.", "trusted.overlay.")


def open_directories(paths: Iterable[str]) -> list[int]:
    """Descriptors (O_PATH) of directories of the host.

    Raises:
        Failure: one is not there.
    """
    opened: list[int] = []
    for path in paths:
        with Attempt(f'cannot open "{path}"'):
            opened.append(os.open(path, _DIRECTORY))
    return opened


class Stage:
    """Memory mounted over the directory that takes the writes, and the root that grows in it.

    That directory is known to exist and nobody needs it by name inside this namespace, so the host lends no other
    place.
    """

    def __init__(self, root: RootMessage, *, user: bool, attributes: int) -> None:
        self.user = user
        """Whether the mounts belong to a user namespace."""
        self.attributes = attributes
        """Of every mount that shows files which the process may have made: MOUNT_ATTR_NODEV, or 0."""
        self.made: list[Made] = []
        self.notes: list[str] = []
        """What the user should be told."""
        self.laid: set[str] = set()
        """Targets of files that lie beneath: nothing is to be mounted there."""
        self._root = root
        self._count = 0
        self._nobody = -1
        self.base = root["path"] or root["upper"]
        """Path of the memory."""
        self.path = self.base + "/root"
        """Path of the root that is being put together."""
        self._work = -1
        (self._upper,) = open_directories([self.base])
        if root["work"]:
            (self._work,) = open_directories([root["work"]])
        self._lock()
        # Copied before it is covered: afterwards the copy would have the cover too.
        self._tree: int | None = None
        if root["path"]:
            self._tree = mounting.clone(self._upper, attributes)
        elif root["fuse"]:
            self._tree = self._clone_parent()
        with Attempt("cannot mount memory"):
            mounting.mount("pyoci", self.base, "tmpfs", mounting.MS_NOSUID, "mode=0755")
        os.mkdir(self.path)

    def _lock(self) -> None:
        """The kernel allows two mounts of one upper directory, which then go wrong. The lock lasts as long as PID 1."""
        descriptor = os.open(mounting.by_descriptor(self._upper), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure(f'"{self.base}" is in use by another process of a sandbox') from None

    def nobody(self) -> int:
        """A namespace for mounts whose files belong to nobody; -1 in a user namespace, where the owners of the host's
        files are unknown by themselves.
        """
        if self._nobody < 0 and not self.user:
            self._nobody = namespaces.namespace_of_nobody()
        return self._nobody

    def fresh_directory(self) -> str:
        """An empty directory in memory, outside the root."""
        self._count += 1
        path = f"{self.base}/{self._count}"
        os.mkdir(path)
        return path

    def fresh_file(self) -> str:
        """A path in memory, outside the root, at which there is nothing yet."""
        self._count += 1
        return f"{self.base}/{self._count}"

    def throwaway_directories(self) -> tuple[int, int]:
        """An upper and a work directory for writes that nobody keeps; the monitor removes them. On disk if possible."""
        self._count += 1
        where = mounting.by_descriptor(self._work) if self._work >= 0 else self.base
        name = f"{where}/discard-{self._count}"
        for path in (name, name + "/upper", name + "/work"):
            os.mkdir(path)
        upper, work = open_directories([name + "/upper", name + "/work"])
        return upper, work

    def mount_root(self, targets: Iterable[Target]) -> None:
        """Mounts the root at `path`, with a stub for the targets that it lacks and what lies beneath."""
        if self._root["path"]:
            (target,) = open_directories([self.path])
            with Attempt(f'cannot mount "{self._root["path"]}"'):
                if self._tree is None:
                    mounting.mount(mounting.by_descriptor(self._upper), self.path, None, mounting.MS_BIND)
                else:
                    mounting.attach(self._tree, target)
            os.close(target)
            return
        self._clear_marks()
        lowers = open_directories(self._root["lowers"])
        stub = self._make_stub(lowers, targets)
        if self._root["fuse"]:
            self._mount_with_fuse(stub)
            return
        if stub:
            lowers = open_directories([stub]) + lowers
        mounting.mount_overlay(
            self.fold(lowers), self._upper, self._work, self.path, user=self.user, attributes=self.attributes
        )
        for descriptor in lowers:
            os.close(descriptor)

    def fold(self, lowers: list[int]) -> list[int]:
        """At most as many directories as the kernel stacks: those at the bottom become one stack of their own."""
        if len(lowers) <= mounting.MAXIMUM_LOWERS:
            return lowers
        keep = mounting.MAXIMUM_LOWERS - 1
        path = self.fresh_directory()
        mounting.mount_overlay(lowers[keep:], None, None, path, user=self.user, attributes=self.attributes)
        return lowers[:keep] + open_directories([path])

    def _clear_marks(self) -> None:
        """Forgets that an earlier mount of these directories was volatile: the kernel would refuse another."""
        mark = mounting.by_descriptor(self._work) + "/work/incompat/volatile"
        try:
            os.unlink(mark + "/dirty")
            os.rmdir(mark)
        except FileNotFoundError:
            return

    def _make_stub(self, lowers: list[int], targets: Iterable[Target]) -> str:
        """The path of a directory with the mount points that the root lacks; empty when it lacks none."""
        view = self.fresh_directory()
        seen = list(lowers)
        if os.listdir(mounting.by_descriptor(self._upper)):
            seen.insert(0, self._upper)
        if len(seen) < 2:  # the kernel makes no stack of one
            seen += open_directories([self.fresh_directory()])
        mounting.mount_overlay(self.fold(seen), None, None, view, user=self.user)
        (root,) = open_directories([view])
        stub = ""
        made: dict[str, os.stat_result] = {}
        try:
            inside: list[str] = []
            for target, directory, content in targets:
                place = walk(root, target)
                is_file = place.exists and stat.S_ISREG(os.stat(place.descriptor).st_mode)
                place.close()
                if any(place.path == outer or place.path.startswith(outer + "/") for outer in inside):
                    continue  # lies in another mount, whose business it is
                if directory:
                    inside.append(place.path)
                if content is not None:
                    self.laid.add(target)
                if place.exists and not (is_file and content is not None):
                    continue
                stub = stub or self.fresh_directory()
                if os.path.lexists(stub + place.path):
                    continue  # laid by another name already
                existing = min(place.existing, len(place.components) - 1)
                self._add_stub(root, stub, place.components, existing, made, directory=directory)
                if content is not None:
                    self._lay(root, stub, place.path, content, over=is_file)
            for path in sorted(made, reverse=True):
                os.utime(stub + path, ns=(made[path].st_atime_ns, made[path].st_mtime_ns))
        except OSError as error:
            raise Failure(f'cannot make the mount point "{error.filename}": {reason_of(error)}') from error
        finally:
            os.close(root)
        # The view stays: it goes with everything else that is not in the root, and the kernel waits for its readers
        # once instead of twice.
        return stub

    def _add_stub(
        self,
        root: int,
        stub: str,
        components: list[str],
        existing: int,
        made: dict[str, os.stat_result],
        *,
        directory: bool,
    ) -> None:
        for depth in range(existing + 1):
            path = "/" + "/".join(components[:depth])
            if path not in made:
                original = open_inside(root, path, follow=False)
                made[path] = os.stat(original)
                if depth:
                    os.mkdir(stub + path)
                _clone_attributes(original, stub + path, made[path])
                os.close(original)
        for depth in range(existing + 1, len(components)):
            path = stub + "/" + "/".join(components[:depth])
            if not os.path.isdir(path):
                os.mkdir(path, 0o755)
        _make_target(stub + "/" + "/".join(components), directory=directory)

    def _lay(self, root: int, stub: str, path: str, content: bytes, *, over: bool) -> None:
        """Fills a file of the stub, with the attributes of what it lies over."""
        with open(stub + path, "wb") as stream:
            stream.write(content)
        if over:
            original = open_inside(root, path, follow=False)
            _clone_attributes(original, stub + path, os.stat(original))
            os.close(original)

    def _clone_parent(self) -> int | None:
        """The directory around upper and work: fuse-overlayfs goes by path, and renames from one to the other."""
        parents = {self._root["upper"].rpartition("/")[0], self._root["work"].rpartition("/")[0]}
        if len(parents) != 1:
            raise Failure("fuse-overlayfs needs its upper and its work directory side by side")
        (parent,) = open_directories(parents)
        return mounting.clone(parent)

    def _mount_with_fuse(self, stub: str) -> None:
        """For kernels that stack nothing in a user namespace. The server dies with the PID namespace."""
        if self._tree is None:
            raise Failure("fuse-overlayfs is used with Linux 5.2 and later only")
        beside, links = self.fresh_directory(), self.fresh_directory()
        (target,) = open_directories([beside])
        mounting.attach(self._tree, target)
        os.close(target)
        lowers = [*([stub] if stub else []), *self._root["lowers"]]
        named = {str(number): path for number, path in enumerate(lowers)}
        for name, path in (("upper", self._root["upper"]), ("work", self._root["work"])):
            named[name] = f"{beside}/{path.rpartition('/')[2]}"
        for name, path in named.items():
            # Names without colons and commas, which the option syntax cannot quote.
            os.symlink(path, f"{links}/{name}")
        stacked = ":".join(f"{links}/{number}" for number in range(len(lowers)))
        options = f"lowerdir={stacked},upperdir={links}/upper,workdir={links}/work"
        process = os.posix_spawn(self._root["fuse"], [self._root["fuse"], "-o", options, self.path], {})
        _, status = os.waitpid(process, 0)
        if status != 0:
            raise Failure(f"fuse-overlayfs ended with status {os.waitstatus_to_exitcode(status)}")

    def place(self, target: str, *, directory: bool) -> tuple[int, str]:
        """A descriptor of the mount point and its path in this namespace. It is made where there is none.

        Raises:
            Failure: it is of the wrong type, or missing in a place that cannot be written to.
        """
        with Attempt(f'cannot use the mount point "{target}"'):
            (root,) = open_directories([self.path])
            try:
                place = walk(root, target)
                if not place.exists:
                    self._make_place(root, place, directory=directory)
                elif not place.components or stat.S_ISDIR(os.stat(place.descriptor).st_mode) != directory:
                    what = "a directory" if directory else "a file"
                    raise Failure(f'the mount point "{target}" is not {what}')
            finally:
                os.close(root)
            return place.descriptor, self.path + place.path

    def _make_place(self, root: int, place: Place, *, directory: bool) -> None:
        """Makes a mount point, to be taken away afterwards where it is in the root itself."""
        in_root = mounting.mount_id(root) == mounting.mount_id(place.descriptor)
        made = [place.components[:depth] for depth in range(place.existing + 1, len(place.components) + 1)]
        parent = os.dup(place.descriptor)
        before = os.stat(parent).st_mtime_ns
        place.create(directory=directory)
        if in_root:
            self.made.append((made, before, os.stat(parent).st_mtime_ns))
        os.close(parent)


def stack(root: RootMessage, stage: Stage, *, access: str) -> str:
    """Mounts another root somewhere outside the one that is put together; its path."""
    if root["path"]:
        return root["path"]
    target = stage.fresh_directory()
    lowers = open_directories(root["lowers"])
    upper: int | None = None
    work: int | None = None
    if root["upper"]:
        (own,) = open_directories([root["upper"]])
        if access == "read-write":
            upper = own
            (work,) = open_directories([root["work"]])
        else:
            lowers.insert(0, own)
    if access == "discard":
        upper, work = stage.throwaway_directories()
    if upper is None:
        lowers += open_directories([stage.fresh_directory()])
    mounting.mount_overlay(stage.fold(lowers), upper, work, target, user=stage.user, attributes=stage.attributes)
    for descriptor in lowers:
        os.close(descriptor)
    return target


def _make_target(path: str, *, directory: bool) -> None:
    if directory:
        os.mkdir(path, 0o755)
    else:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))


def _clone_attributes(original: int, copy: str, status: os.stat_result) -> None:
    source = mounting.by_descriptor(original)
    try:
        os.chown(copy, status.st_uid, status.st_gid, follow_symlinks=False)
    except OSError:
        pass  # an owner from outside the namespace, which the process sees as nobody either way
    os.chmod(copy, stat.S_IMODE(status.st_mode))
    for name in os.listxattr(source):
        if not name.startswith(_OVERLAY_MARKS):
            try:
                os.setxattr(copy, name, os.getxattr(source, name))
            except OSError:
                # Memory holds no user.* before Linux 6.6. Whoever reads the changes back falls back to the directory
                # below.
                continue
