"""Progress on stderr: plain lines as `docker build --progress=plain` prints them, a live display on a terminal, or
nothing.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TextIO

from pyoci.location import Location
from pyoci.progress import Reporter, TransferKind, TransferOutcome
from pyoci.values import dataclass, field

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

__all__ = ["PlainReporter", "QuietReporter", "TerminalReporter", "human_size", "title_with_time"]

_TAIL_LINES = 6
_SHORT_TRANSFER_BYTES = 256 * 1024


def human_size(size: int) -> str:
    """A size as docker prints it: decimal units, three or four significant digits (`8.92MB`, `870MB`)."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if value < 1000 or unit == "PB":
            break
        value /= 1000
    text = f"{value:.4g}" if unit != "B" else f"{size}"
    if "." in text and len(text) > 4:
        text = f"{value:.3g}"
    return f"{text}{unit}"


class QuietReporter(Reporter):
    """Prints warnings only."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def warning(self, text: str, *, location: Location | None = None) -> None:
        place = f" ({location})" if location else ""
        self._print(f"warning: {text}{place}")

    def _print(self, text: str) -> None:
        with self._lock:
            self._stream.write(text + "\n")
            self._stream.flush()


@dataclass(slots=True)
class _Step:
    number: int
    title: str
    started: float
    pending: bytes = b""
    tail: list[str] = field(default_factory=list)


def _clean(line: bytes) -> str:
    """A line of a command's output, with what could steer a terminal made harmless."""
    text = line.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", "replace")
    return "".join(c if c == "\t" or c.isprintable() else "�" if c != "\x1b" else "" for c in text)


class PlainReporter(QuietReporter):
    """One line per event: `#3 [builder 2/3] RUN go build`, its output with seconds since it began, `#3 DONE 1.2s`."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._steps: dict[str, _Step] = {}
        self._count = 0
        self._transfers: dict[str, tuple[TransferKind, int, float]] = {}

    def _new(self, step: str, title: str) -> _Step:
        with self._lock:
            self._count += 1
            entry = self._steps[step] = _Step(self._count, title, time.monotonic())
        return entry

    def step_started(self, step: str, title: str) -> None:
        self._print(f"#{self._new(step, title).number} {title}")

    def step_cached(self, step: str, title: str) -> None:
        number = self._new(step, title).number
        self._print(f"#{number} {title}\n#{number} CACHED\n")

    def step_done(self, step: str) -> None:
        entry = self._steps[step]
        self._flush(entry)
        self._print(f"#{entry.number} DONE {time.monotonic() - entry.started:.1f}s\n")

    def step_failed(self, step: str, message: str) -> None:
        entry = self._steps.get(step)
        if entry is not None:
            self._flush(entry)
            self._print(f"#{entry.number} ERROR: {message}\n")

    def step_output(self, step: str, data: bytes) -> None:
        entry = self._steps[step]
        *lines, entry.pending = (entry.pending + data).split(b"\n")
        elapsed = time.monotonic() - entry.started
        if lines:
            self._print("\n".join(f"#{entry.number} {elapsed:.3f} {_clean(line)}" for line in lines))

    def _flush(self, entry: _Step) -> None:
        if entry.pending:
            line, entry.pending = entry.pending, b""
            self._print(f"#{entry.number} {time.monotonic() - entry.started:.3f} {_clean(line)}")

    def transfer_started(self, name: str, kind: TransferKind, total_bytes: int) -> None:
        self._transfers[name] = (kind, total_bytes, time.monotonic())

    def transfer_done(self, name: str, outcome: TransferOutcome) -> None:
        kind, total, started = self._transfers.pop(name, ("copy", 0, time.monotonic()))
        short = name if ":" not in name else name[: name.index(":") + 13]
        if outcome == "done":
            self._print(f"{kind} {short} {human_size(total)} {time.monotonic() - started:.1f}s")
        else:
            self._print(f"{kind} {short} {outcome}")

    def message(self, text: str) -> None:
        self._print(text)


class TerminalReporter(PlainReporter):
    """A live display: steps as they end above, what runs now with its last lines below, a bar per large transfer."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        from rich.console import Console
        from rich.live import Live

        self._console: Console = Console(file=stream, highlight=False)
        self._bytes: dict[str, int] = {}
        self._live: Live = Live(get_renderable=self._view, console=self._console, refresh_per_second=8, transient=True)
        self._running = False

    def close(self) -> None:
        """Ends the display; what it showed below is cleared."""
        if self._running:
            self._live.stop()
            self._running = False

    def _start(self) -> None:
        if not self._running:
            self._running = True
            self._live.start()

    def _print(self, text: str) -> None:
        from rich.text import Text

        with self._lock:
            self._console.print(Text(text))

    def step_started(self, step: str, title: str) -> None:
        self._new(step, title)
        self._start()

    def step_cached(self, step: str, title: str) -> None:
        self._new(step, title)
        self._steps.pop(step)
        self._print(f" => CACHED {title}")

    def step_done(self, step: str) -> None:
        entry = self._steps.pop(step)
        self._print(f" => {title_with_time(entry.title, time.monotonic() - entry.started)}")

    def step_failed(self, step: str, message: str) -> None:
        entry = self._steps.pop(step, None)
        if entry is not None:
            self._print(f" => ERROR {entry.title}")

    def step_output(self, step: str, data: bytes) -> None:
        entry = self._steps[step]
        *lines, entry.pending = (entry.pending + data).split(b"\n")
        entry.tail = [*entry.tail, *(_clean(line) for line in lines)][-_TAIL_LINES:]

    def transfer_started(self, name: str, kind: TransferKind, total_bytes: int) -> None:
        super().transfer_started(name, kind, total_bytes)
        self._start()

    def transfer_advanced(self, name: str, done_bytes: int) -> None:
        self._bytes[name] = done_bytes

    def transfer_done(self, name: str, outcome: TransferOutcome) -> None:
        self._bytes.pop(name, None)
        kind, total, _ = self._transfers.pop(name, ("copy", 0, 0.0))
        if outcome == "done" and total >= _SHORT_TRANSFER_BYTES:
            self._print(f" => {kind} {name[:19]} {human_size(total)}")

    def _view(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        now = time.monotonic()
        parts: list[RenderableType] = []
        for entry in list(self._steps.values()):
            parts.append(Text(f" => {title_with_time(entry.title, now - entry.started)}", style="cyan"))
            parts.extend(Text(f"    {line}", style="dim", overflow="ellipsis", no_wrap=True) for line in entry.tail)
        grid = Table.grid(padding=(0, 1))
        for name, (kind, total, _) in list(self._transfers.items()):
            done = self._bytes.get(name, 0)
            label = f" => {kind} {name[:19]}"
            grid.add_row(label, ProgressBar(total or 1, done, width=24), f"{human_size(done)} / {human_size(total)}")
        if grid.row_count:
            parts.append(grid)
        return Group(*parts)


def title_with_time(title: str, seconds: float) -> str:
    """A step's title with how long it has taken."""
    return f"{title}  {seconds:.1f}s"
