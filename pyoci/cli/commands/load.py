"""`pyoci load`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pyoci.cli.arguments import add_progress, working
from pyoci.reference import Reference

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of docker load."""
    parser.add_argument("-i", "--input", metavar="FILE", help="archive to read (default: stdin)")
    add_progress(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints what was loaded, as docker does."""
    from pyoci.api.transfer import load

    with working(arguments) as options:
        if arguments.input and arguments.input != "-":
            loaded = load(arguments.input, options=options)
        else:
            loaded = _load_stdin(options.environment.store, options)
    for one in loaded:
        if isinstance(one, Reference):
            sys.stdout.write(f"Loaded image: {one.familiar}\n")
        else:
            sys.stdout.write(f"Loaded image ID: {one}\n")
    return 0


def _load_stdin(store: Path, options: object) -> list[object]:
    """An archive is read back and forth, so what comes through a pipe is written to a file first."""
    import shutil
    import tempfile

    from pyoci.api.services import Options
    from pyoci.api.transfer import load

    assert isinstance(options, Options)
    with tempfile.NamedTemporaryFile(prefix="pyoci-load-") as file:
        shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
        file.flush()
        return list(load(file.name, options=options))
