"""Values that a build may use and nobody may see: secrets by ID, read when a step needs them.

A value is in no key, no step, no history, no error and no log; whoever prints what a command said passes it through
`redact` first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from pyoci.build.request import SecretSource
from pyoci.errors import UsageError

__all__ = ["Secrets"]

_LIMIT = 500 * 1024
"""Bytes of one secret, as BuildKit allows."""


class Secrets:
    """The secrets of one build. May be used from several threads at once."""

    def __init__(
        self, sources: Iterable[SecretSource], variables: Mapping[str, str], path_of: Callable[[str], Path]
    ) -> None:
        """`variables` are those of the builder's process; `path_of` gives the absolute path of one that was typed."""
        self._sources = {source.id: source for source in sources}
        self._variables = variables
        self._path_of = path_of
        self._values: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def get(self, name: str) -> bytes | None:
        """The secret's bytes, or None if the build was not given one of that ID.

        Raises:
            UsageError: its file cannot be read, its variable is not set, or it is too large.
        """
        source = self._sources.get(name)
        if source is None:
            return None
        with self._lock:
            if name not in self._values:
                self._values[name] = self._read(source)
            return self._values[name]

    def _read(self, source: SecretSource) -> bytes:
        variables = self._variables
        if source.env or (not source.file and source.id in variables):
            name = source.env or source.id
            if name not in variables:
                raise UsageError(f'secret "{source.id}": the variable {name} is not set')
            return variables[name].encode("utf-8", "surrogateescape")
        path = self._path_of(source.file or source.id)
        try:
            with path.open("rb") as stream:
                value = stream.read(_LIMIT + 1)
        except OSError as error:
            raise UsageError(f'secret "{source.id}": cannot read {path}: {error.strerror}') from error
        if len(value) > _LIMIT:
            raise UsageError(f'secret "{source.id}" has more than {_LIMIT} bytes')
        return value

    def check(self) -> None:
        """Reads every secret, so that a missing file is known before anything is built.

        Raises:
            UsageError: as `get`.
        """
        for name in self._sources:
            self.get(name)

    def named_values(self) -> dict[str, bytes]:
        """Those that were read, by ID, for whoever looks for leaks."""
        with self._lock:
            return dict(self._values)

    def values(self) -> list[bytes]:
        """Those that were read, for whoever looks for leaks."""
        with self._lock:
            return list(self._values.values())
