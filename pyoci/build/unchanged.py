"""A build in which nothing changed is not planned again: what the last one found is kept with all that it looked at.

A record is written by every build that can be told again. It holds the stamps of the Dockerfile, of the rules
of what is ignored and of every file and directory of a context that was looked at, the meaning of every name of a base,
the blobs that the image needs, and what was told to the user. If all of that is as it was, so is the image; if anything
is not, the build is planned as if there were no record. What cannot be asked of this machine alone has none: newer
bases, secrets, sockets, contexts that are not directories, files from the network.

This module is what a cached build consists of: it imports little, and decodes no document.
"""

from __future__ import annotations

import hashlib
import json
import marshal
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pyoci.build.context_index import RACY_NANOSECONDS, FileStamp, store_clock
from pyoci.build.request import BuildRequest
from pyoci.digest import Digest
from pyoci.errors import ContentError
from pyoci.image.descriptor import Descriptor
from pyoci.location import Location, SourceFile
from pyoci.platforms import Platform
from pyoci.progress import Reporter, TransferKind, TransferOutcome
from pyoci.store import Store
from pyoci.values import dataclass

__all__ = ["Found", "Watch", "find"]

_VERSION = 2
_FREE = frozenset({"tags", "jobs", "step_timeout_seconds", "isolation"})
"""What may differ between two requests without a difference in what is built."""
_KEYED = frozenset(
    {
        *("context", "file", "target", "platforms", "build_args", "build_contexts", "outputs", "labels", "annotations"),
        *("network", "allow", "add_hosts", "ulimits", "shm_size", "memory", "cgroup_parent"),
        *("preflight", "preflight_for", "preflight_skip"),
    }
)
"""What must be the same. A request that asks for anything else beyond its default is planned whenever it is made."""
_IMAGE_NAME = "docker-image://"
_WITHOUT_TREE = frozenset({"image", "registry", "oci", "docker"})
_ABOUT_PLACES = frozenset({"name", "push", "push-by-digest", "name-canonical", "registry.insecure", "tar"})
"""Attributes of outputs that say nothing of the image itself."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the build comes to, and what it has to tell."""

    descriptor: Descriptor
    """Of the manifest, or of the index."""
    image_id: Digest
    manifests: tuple[Descriptor, ...]
    """One per platform, with it."""
    events: tuple[tuple[object, ...], ...]

    def tell(self, reporter: Reporter) -> None:
        """Tells what a build tells that finds everything in the cache."""
        for kind, *values in self.events:
            if kind == "cached":
                step, title = values
                reporter.step_cached(str(step), str(title))
            elif kind == "message":
                reporter.message(str(values[0]))
            else:
                text, place = values
                reporter.warning(str(text), location=_location(place))


def _location(place: object) -> Location | None:
    if not isinstance(place, tuple):
        return None
    name, line, column, length, end_line = place
    return Location(SourceFile(name, ""), line, column, length, end_line)


class Watch(Reporter):
    """Watches one build: what the next one would tell that finds everything in the cache. Passes everything on."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._events: list[tuple[object, ...]] = []
        self._hears = True
        """What is told now would be told by the next build as well."""
        self._only = 0
        """The one thread that is heard; 0 is all of them."""
        self._fetched = False
        """Something was fetched while the build was planned: what was told may be about the registry."""
        self._told = False
        """Something was told while the build was planned."""
        self._stamps: dict[str, FileStamp | None] = {}
        self._clock = 0

    def _is_heard(self) -> bool:
        return self._hears and self._only in (0, threading.get_ident())

    def begin(self, request: BuildRequest, working_directory: Path, store: Store) -> None:
        """Takes the stamps of the files that say what is built, before anybody reads them."""
        if _is_plain(request, working_directory):
            self._clock = store_clock(store)
            self._stamps = {path: _stamp_of(path) for path in _inputs(request, working_directory)}

    def planned(self) -> None:
        """The build is planned. Of its steps the next one tells the titles alone."""
        self._hears = False
        self._told = bool(self._events)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """While the caller's thread looks at the image: what it says is said by the next build as well."""
        self._hears, self._only = True, threading.get_ident()
        try:
            yield
        finally:
            self._hears = False

    def keep(
        self,
        request: BuildRequest,
        working_directory: Path,
        store: Store,
        *,
        surroundings: Sequence[object],
        directories: Iterable[tuple[str, Mapping[str, FileStamp]]],
        names: Mapping[str, str],
        found: Found,
        blobs: Iterable[Descriptor],
    ) -> None:
        """Writes the record, if everything that was read can be told from what it becomes.

        `surroundings` is what counts besides the request; `directories` are the contexts that were opened, with what
        was looked at in them by path; `names` the digests that names of bases stood for; `blobs` what the image
        consists of.
        """
        if not self._clock or (self._told and self._fetched):
            return
        seen = [(root, dict(stamps)) for root, stamps in directories]
        latest = self._clock - RACY_NANOSECONDS
        stamps = [*self._stamps.values(), *(stamp for _, tree in seen for stamp in tree.values())]
        if any(stamp is not None and max(stamp[1], stamp[2]) >= latest for stamp in stamps):
            return
        record = (
            _VERSION,
            _key(request, working_directory, surroundings),
            self._stamps,
            seen,
            dict(names),
            [(str(blob.digest), blob.size, store.has(blob)) for blob in blobs],
            _flat(found.descriptor),
            str(found.image_id),
            [_flat(manifest) for manifest in found.manifests],
            tuple(self._events),
        )
        with suppress(ContentError):  # of a full disk: the record only saves time
            store.write_file("indexes", _name(request, working_directory), marshal.dumps(record))  # type: ignore[arg-type]

    def step_started(self, step: str, title: str) -> None:
        self._events.append(("cached", step, title))
        self._reporter.step_started(step, title)

    def step_cached(self, step: str, title: str) -> None:
        self._events.append(("cached", step, title))
        self._reporter.step_cached(step, title)

    def step_done(self, step: str) -> None:
        self._reporter.step_done(step)

    def step_failed(self, step: str, message: str) -> None:
        self._reporter.step_failed(step, message)

    def step_output(self, step: str, data: bytes) -> None:
        self._reporter.step_output(step, data)

    def transfer_started(self, name: str, kind: TransferKind, total_bytes: int) -> None:
        self._fetched = self._fetched or (kind == "pull" and self._is_heard())
        self._reporter.transfer_started(name, kind, total_bytes)

    def transfer_advanced(self, name: str, done_bytes: int) -> None:
        self._reporter.transfer_advanced(name, done_bytes)

    def transfer_done(self, name: str, outcome: TransferOutcome) -> None:
        self._reporter.transfer_done(name, outcome)

    def message(self, text: str) -> None:
        if self._is_heard():
            self._events.append(("message", text))
        self._reporter.message(text)

    def warning(self, text: str, *, location: Location | None = None) -> None:
        place = None
        if location is not None:
            place = (location.source.name, location.line, location.column, location.length, location.end_line)
        if self._is_heard():
            self._events.append(("warning", text, place))
        self._reporter.warning(text, location=location)


def find(
    request: BuildRequest, working_directory: Path, store: Store, *, surroundings: Sequence[object]
) -> Found | None:
    """What the build comes to if nothing changed since it was recorded; None if anything did, or there is no record."""
    if not _is_plain(request, working_directory):
        return None
    raw = store.read_file("indexes", _name(request, working_directory))
    if raw is None:
        return None
    try:
        version, key, files, trees, names, blobs, descriptor, image_id, manifests, events = marshal.loads(raw)
        if version != _VERSION or key != _key(request, working_directory, surroundings):
            return None
        if any(_stamp_of(path) != stamp for path, stamp in files.items()):
            return None
        if not all(_is_as_it_was(root, stamps) for root, stamps in trees):
            return None
        known = store.tags.digests() if names else {}
        if any(known.get(name) != digest for name, digest in names.items()):
            return None
        if any(store.has_blob(Digest(digest), size) != is_here for digest, size, is_here in blobs):
            return None
        return Found(_whole(descriptor), Digest(image_id), tuple(map(_whole, manifests)), tuple(events))
    except (ValueError, EOFError, TypeError):
        return None  # damaged, or of another version of Python


def _stamp_of(path: str) -> FileStamp | None:
    """The stamp of what a path leads to; None if that is nothing."""
    try:
        status = os.stat(path)  # noqa: PTH116 (no Path is wanted here)
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _is_as_it_was(root: str, stamps: Mapping[str, FileStamp]) -> bool:
    lstat, prefix = os.lstat, root + "/"
    try:
        for path, stamp in stamps.items():
            status = lstat(prefix + path)
            if (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino) != stamp:
                return False
    except OSError:
        return False
    return True


def _is_plain(request: BuildRequest, working_directory: Path) -> bool:
    """Whether this machine alone says what the request comes to."""
    plain = BuildRequest()
    for name in BuildRequest.__slots__:
        if name not in _KEYED and name not in _FREE and getattr(request, name) != getattr(plain, name):
            return False
    named = request.build_contexts.values()
    return (
        (working_directory / request.context).is_dir()
        and all(value.startswith(_IMAGE_NAME) or (working_directory / value).is_dir() for value in named)
        and str(request.file) != "-"
        and "://" not in str(request.file)
        and all(output.type in _WITHOUT_TREE for output in request.outputs)
        and _is_of_one_form(request)
    )


def _is_of_one_form(request: BuildRequest) -> bool:
    """Whether one root serves all outputs, as the record has it: without annotations of its descriptor."""
    forms = [{k: v for k, v in output.attributes.items() if k not in _ABOUT_PLACES} for output in request.outputs]
    keys = [*request.annotations, *(key for form in forms for key in form)]
    return all(form == forms[0] for form in forms) and not any("-descriptor" in key for key in keys)


def _inputs(request: BuildRequest, working_directory: Path) -> list[str]:
    """Files that say what is built, whether they are there or not."""
    context = working_directory / request.context
    files = (
        [working_directory / request.file] if str(request.file) else [context / "Dockerfile", context / "dockerfile"]
    )
    ignored = [file.with_name(file.name + ".dockerignore") for file in files]
    return [str(path) for path in (*files, *ignored, context / ".dockerignore")]


def _directories(request: BuildRequest, working_directory: Path) -> list[str]:
    """Where the directories of the request really are."""
    named = [value for _, value in sorted(request.build_contexts.items()) if not value.startswith(_IMAGE_NAME)]
    return [os.path.realpath(working_directory / path) for path in (request.context, *named)]


def _name(request: BuildRequest, working_directory: Path) -> str:
    """One record for each thing that is built here, so that records do not pile up with every new build argument."""
    what = [_directories(request, working_directory), str(request.file), request.target, request.platforms]
    return f"context-build-{_digest(what)[:32]}"


def _key(request: BuildRequest, working_directory: Path, surroundings: Sequence[object]) -> str:
    fields = {name: getattr(request, name) for name in sorted(_KEYED)}
    inputs = [*_directories(request, working_directory), *_inputs(request, working_directory)]
    return _digest([fields, inputs, list(surroundings)])


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, default=_encoded)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _encoded(value: object) -> object:
    """What JSON has no word for."""
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Path):
        return str(value)
    return {name: getattr(value, name) for name in type(value).__slots__}  # type: ignore[attr-defined]


def _flat(descriptor: Descriptor) -> tuple[object, ...]:
    platform = descriptor.platform
    parts = None if platform is None else tuple(getattr(platform, name) for name in Platform.__slots__)
    return descriptor.media_type, str(descriptor.digest), descriptor.size, parts


def _whole(flat: tuple[str, str, int, tuple[object, ...] | None]) -> Descriptor:
    media_type, digest, size, parts = flat
    platform = None if parts is None else Platform(*parts)  # type: ignore[arg-type]
    return Descriptor(media_type, Digest(digest), size, platform=platform)
