"""Progress as `--progress=rawjson` prints it: BuildKit's SolveStatus, one JSON object in a line.

Spec: buildkit v0.32, client/graph.go: vertexes, statuses, logs and warnings, with the names and forms that they have
there. What is no step (transfers, messages) is a vertex of its own, since everything belongs to one.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable
from typing import Any, TextIO

from pyoci.digest import sha256_digest
from pyoci.location import Location
from pyoci.progress import Reporter, TransferKind, TransferOutcome

__all__ = ["RawJsonReporter", "WarningKeeper", "vertex_warning"]

_INTERVAL_SECONDS = 0.1
_NAMES: dict[TransferKind, str] = {
    "pull": "pulling layers",
    "push": "pushing layers",
    "copy": "copying",
    "export": "exporting",
    "unpack": "unpacking layers",
}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _digest(name: str) -> str:
    return sha256_digest(name.encode("utf-8", "surrogateescape"))


def vertex_warning(text: str, location: Location | None) -> dict[str, Any]:
    """A warning as one of SolveStatus: `short` in base64, the file and the lines that it is about."""
    found: dict[str, Any] = {
        "vertex": _digest("warnings"),
        "level": 1,
        "short": _base64(text.encode("utf-8", "surrogateescape")),
    }
    if location is not None:
        source = location.source
        found["sourceInfo"] = {
            "filename": source.name,
            "data": _base64(source.text.encode("utf-8", "surrogateescape")),
            "language": "Dockerfile",
        }
        found["range"] = [{"start": {"line": location.line}, "end": {"line": location.last_line}}]
    return found


class RawJsonReporter(Reporter):
    """One line per event. `clock` gives seconds since 1970."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.time) -> None:
        self._stream = stream
        self._clock = clock
        self._lock = threading.Lock()
        self._vertexes: dict[str, dict[str, Any]] = {}
        """Those under way, by step or kind of transfer."""
        self._transfers: dict[str, dict[str, Any]] = {}
        self._told: dict[str, float] = {}
        """When the advance of a transfer was printed last."""

    def close(self) -> None:
        """Completes what has no end of its own."""
        with self._lock:
            self._put(vertexes=[{**one, "completed": self._now()} for one in self._vertexes.values()])
            self._vertexes.clear()

    def _now(self) -> str:
        seconds = self._clock()
        whole = int(seconds)
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{int((seconds - whole) * 1e9):09d}Z"

    def _put(self, **members: list[dict[str, Any]]) -> None:
        given = {name: value for name, value in members.items() if value}
        if given:
            self._stream.write(json.dumps(given, separators=(",", ":"), ensure_ascii=False) + "\n")
            self._stream.flush()

    def step_started(self, step: str, title: str) -> None:
        with self._lock:
            vertex = {"digest": _digest(step), "name": title, "started": self._now()}
            self._vertexes[step] = vertex
            self._put(vertexes=[vertex])

    def step_cached(self, step: str, title: str) -> None:
        with self._lock:
            now = self._now()
            vertex = {"digest": _digest(step), "name": title, "started": now, "completed": now, "cached": True}
            self._put(vertexes=[vertex])

    def step_done(self, step: str) -> None:
        self._ended(step, {})

    def step_failed(self, step: str, message: str) -> None:
        self._ended(step, {"error": message})

    def _ended(self, step: str, more: dict[str, Any]) -> None:
        with self._lock:
            vertex = self._vertexes.pop(step, None)
            if vertex is not None:
                self._put(vertexes=[{**vertex, "completed": self._now(), **more}])

    def step_output(self, step: str, data: bytes) -> None:
        with self._lock:
            log = {"vertex": _digest(step), "stream": 1, "data": _base64(data), "timestamp": self._now()}
            self._put(logs=[log])

    def transfer_started(self, name: str, kind: TransferKind, total_bytes: int) -> None:
        with self._lock:
            now = self._now()
            vertex = self._vertexes.get(kind)
            new = []
            if vertex is None:
                vertex = {"digest": _digest(kind), "name": _NAMES[kind], "started": now}
                self._vertexes[kind] = vertex
                new = [vertex]
            status = {"id": f"{kind} {name}", "vertex": vertex["digest"], "name": name, "total": total_bytes}
            self._transfers[name] = {**status, "current": 0, "timestamp": now, "started": now}
            self._put(vertexes=new, statuses=[self._transfers[name]])

    def transfer_advanced(self, name: str, done_bytes: int) -> None:
        with self._lock:
            status, now = self._transfers.get(name), self._clock()
            if status is not None:
                status.update(current=done_bytes, timestamp=self._now())
                if now - self._told.get(name, 0) >= _INTERVAL_SECONDS:
                    self._told[name] = now
                    self._put(statuses=[status])

    def transfer_done(self, name: str, outcome: TransferOutcome) -> None:
        with self._lock:
            status = self._transfers.pop(name, None)
            self._told.pop(name, None)
            if status is not None:
                now = self._now()
                current = status["total"] if outcome == "done" else status["current"]
                self._put(statuses=[{**status, "current": current, "timestamp": now, "completed": now}])

    def message(self, text: str) -> None:
        with self._lock:
            now = self._now()
            self._put(vertexes=[{"digest": _digest(text), "name": text, "started": now, "completed": now}])

    def warning(self, text: str, *, location: Location | None = None) -> None:
        with self._lock:
            self._put(warnings=[vertex_warning(text, location)])


class WarningKeeper(Reporter):
    """Passes everything on, and keeps warnings as `--metadata-file` holds them."""

    def __init__(self, reporter: Reporter) -> None:
        self.warnings: list[dict[str, Any]] = []
        self.step_started = reporter.step_started  # type: ignore[method-assign]
        self.step_cached = reporter.step_cached  # type: ignore[method-assign]
        self.step_done = reporter.step_done  # type: ignore[method-assign]
        self.step_failed = reporter.step_failed  # type: ignore[method-assign]
        self.step_output = reporter.step_output  # type: ignore[method-assign]
        self.transfer_started = reporter.transfer_started  # type: ignore[method-assign]
        self.transfer_advanced = reporter.transfer_advanced  # type: ignore[method-assign]
        self.transfer_done = reporter.transfer_done  # type: ignore[method-assign]
        self.message = reporter.message  # type: ignore[method-assign]
        self._pass_on = reporter.warning

    def warning(self, text: str, *, location: Location | None = None) -> None:
        self.warnings.append(vertex_warning(text, location))
        self._pass_on(text, location=location)
