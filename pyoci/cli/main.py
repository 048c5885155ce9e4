"""The entry point: finds the verb, parses its flags, runs it, renders what goes wrong.

Only the verb that is used is imported, so that `pyoci --version` costs little more than the interpreter.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    import argparse

    from pyoci.errors import PyociError

__all__ = ["VERBS", "main"]

VERBS = {
    "bake": "Build the targets of a bake or Compose file",
    "build": "Build an image from a Dockerfile",
    "cat": "Print files of an image",
    "check": "Tell whether an image can run, without running it",
    "copy": "Copy an image between registries, layouts, archives and the store",
    "delete": "Delete a tag or manifest of a registry",
    "diff": "Show what differs between two images",
    "doctor": "Say what this machine allows, and what to change",
    "history": "Show how an image came to be",
    "images": "List the images of the store",
    "inspect": "Show an image as JSON",
    "load": "Load images from an archive",
    "login": "Log in to a registry",
    "logout": "Forget the login to a registry",
    "ls": "List the tags of a repository, or the files of an image",
    "manifest": "Make, change, show and push indexes of images",
    "prune": "Remove what is not needed",
    "pull": "Fetch an image from a registry",
    "push": "Send an image to a registry",
    "rmi": "Remove an image",
    "run": "Run a command in an image",
    "save": "Write images to an archive",
    "size": "Show where the bytes of an image are, and hold them against a budget",
    "serve": "Give out images as a registry",
    "tag": "Give an image another name",
}
"""Every verb with its line in the help, in the order shown."""

_INTERRUPTED = 130
_COLLECTED_AFTER = 50_000
"""Objects, instead of 700: what a command makes it keeps, most of it from importing, and the collector would look at it
again and again in vain.
"""


class _Command(Protocol):
    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, arguments: argparse.Namespace) -> int: ...


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words in (["--version"], ["-v"], ["version"]):
        from pyoci import __version__

        sys.stdout.write(f"pyoci {__version__}\n")
        return 0
    if not words or words[0] in ("--help", "-h", "help"):
        sys.stdout.write(_help())
        return 0
    verb = words[0]
    if verb not in VERBS:
        return _unknown(verb)
    return _run(verb, words[1:])


def _help() -> str:
    width = max(map(len, VERBS))
    lines = [f"  {verb:<{width}}  {summary}" for verb, summary in VERBS.items()]
    return "\n".join(
        [
            "usage: pyoci COMMAND [OPTIONS]",
            "",
            "Builds container images from Dockerfiles with no daemon, no root and no helper program.",
            "",
            "commands:",
            *lines,
            "",
            "`pyoci COMMAND --help` shows a command's options; `pyoci --version` the version.",
            "",
        ]
    )


def _unknown(verb: str) -> int:
    import difflib

    close = difflib.get_close_matches(verb, VERBS, n=1)
    hint = f"did you mean {close[0]}?" if close else "`pyoci --help` lists the commands"
    sys.stderr.write(f"error: unknown command: {verb}\nhint: {hint}\n")
    return 2


def _run(verb: str, words: list[str]) -> int:
    from pyoci.cli.arguments import make_parser
    from pyoci.errors import Cancelled, PyociError, UsageError

    gc.set_threshold(_COLLECTED_AFTER)
    signal.signal(signal.SIGTERM, _interrupt)
    command = cast("_Command", import_module(f"pyoci.cli.commands.{verb}"))
    parser = make_parser(verb, VERBS[verb])
    command.add_arguments(parser)
    intermixed = getattr(command, "WORDS_BETWEEN_FLAGS", False)
    try:
        return command.run(parser.parse_intermixed_args(words) if intermixed else parser.parse_args(words))
    except KeyboardInterrupt:
        _show(Cancelled())
        return _INTERRUPTED
    except Cancelled as error:
        _show(error)
        return _INTERRUPTED
    except UsageError as error:
        _show(error)
        return 2
    except PyociError as error:
        _show(error)
        return 1
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except Exception as error:
        if os.environ.get("PYOCI_DEBUG"):
            raise
        _show(_unforeseen(error))
        return 1


def _unforeseen(error: Exception) -> PyociError:
    """What nobody caught: the operating system's refusals in its words, the rest as the bug that it is."""
    from pyoci.errors import PyociError

    if isinstance(error, OSError) and error.strerror:
        name = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        return PyociError(f"{name}{error.strerror}", hint="PYOCI_DEBUG=1 shows where this happened")
    return PyociError(
        f"internal error: {type(error).__name__}: {error}",
        hint="this is a bug in pyoci; run it again with PYOCI_DEBUG=1 and report what it prints",
    )


def _interrupt(number: int, frame: object) -> None:
    """Being asked to end is being interrupted: what runs is ended, and nothing half-written stays."""
    raise KeyboardInterrupt


def _show(error: PyociError) -> None:
    from pyoci.cli.render_error import render

    colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    sys.stderr.write(render(error, colour=colour))
