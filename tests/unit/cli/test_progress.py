"""What a person sees of blobs that move: a bar for each on a terminal, a line for each elsewhere."""

from __future__ import annotations

import io

from rich.console import Console

from pyoci.cli.progress import PlainReporter, TerminalReporter

ONE, TWO, THREE = (f"sha256:{letter * 64}" for letter in "abc")
MIB = 1 << 20


def shown(reporter: TerminalReporter) -> list[str]:
    """The live part of the display."""
    console = Console(file=io.StringIO(), width=100, force_terminal=False)
    console.print(reporter._view())
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue().splitlines()


def test_a_bar_for_each_blob_that_moves() -> None:
    reporter = TerminalReporter(io.StringIO())
    try:
        reporter.transfer_started(ONE, "push", 100 * MIB)
        reporter.transfer_started(TWO, "push", 50 * MIB)
        reporter.transfer_advanced(ONE, 25 * MIB)
        first, second = shown(reporter)
        assert first.startswith(f" => push {ONE[:19]} ")
        assert first.rstrip().endswith("26.2MB / 105MB")
        assert second.startswith(f" => push {TWO[:19]} ")
        assert second.rstrip().endswith("0B / 52.4MB")
        assert first.count("━") == 24 // 4
        reporter.transfer_done(ONE, "done")
        assert len(shown(reporter)) == 1
        reporter.transfer_done(TWO, "mounted")
        assert [line for line in shown(reporter) if line.strip()] == []
    finally:
        reporter.close()


def test_a_blob_of_unknown_size_is_shown_too() -> None:
    reporter = TerminalReporter(io.StringIO())
    try:
        reporter.transfer_started(ONE, "pull", 0)
        reporter.transfer_advanced(ONE, 5)
        (line,) = shown(reporter)
        assert line.startswith(f" => pull {ONE[:19]} ")
    finally:
        reporter.close()


def test_elsewhere_a_line_for_each_and_no_control_characters() -> None:
    stream = io.StringIO()
    reporter = PlainReporter(stream)
    for name, outcome in ((ONE, "done"), (TWO, "exists"), (THREE, "mounted")):
        reporter.transfer_started(name, "push", 3 * MIB)
        reporter.transfer_advanced(name, MIB)
        reporter.transfer_done(name, outcome)  # type: ignore[arg-type]
    done, exists, mounted = stream.getvalue().splitlines()
    assert done.startswith(f"push {ONE[:19]} 3.15MB ")
    assert exists == f"push {TWO[:19]} exists"
    assert mounted == f"push {THREE[:19]} mounted"
    assert stream.getvalue().replace("\n", "").isprintable()
