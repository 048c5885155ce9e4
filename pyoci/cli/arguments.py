"""Flags that several verbs share, and how their values are read. Names and meanings are docker's."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from pyoci.errors import UsageError

if TYPE_CHECKING:
    from pyoci.api.options import Options
    from pyoci.progress import Reporter

__all__ = [
    "FALSE",
    "IMAGE_HELP",
    "TRUE",
    "add_connection",
    "add_looking",
    "add_platform",
    "add_progress",
    "key_value",
    "key_values",
    "make_parser",
    "values_or_environment",
    "working",
]


IMAGE_HELP = (
    "name or ID of the store, else a name in a registry; or store:NAME, oci-layout:DIR[:NAME], "
    "oci-archive:FILE[:NAME], docker-archive:FILE[:NAME]"
)
"""How an image is named to everything that looks at one."""


_PROGRESS = ("auto", "plain", "tty", "quiet", "rawjson", "none")
TRUE = ("1", "t", "T", "true", "TRUE", "True")
FALSE = ("0", "f", "F", "false", "FALSE", "False")


class _Parser(argparse.ArgumentParser):
    """Errors like every other error of pyoci, and switches that may be given a value, as docker's may: `--pull=false`.

    argparse knows `--pull=false` as a flag of that name; a value that may be missing would eat the next word. Only the
    spellings that somebody writes are made known to it: all of them would take longer than the rest of the parsing.
    """

    def __init__(self, **options: Any) -> None:
        self._switches: dict[str, str] = {}
        self._spelled: set[str] = set()
        self._is_adding = False
        super().__init__(formatter_class=self._formatter, **options)

    def add_argument(self, *names: str, **options: Any) -> argparse.Action:
        self._is_adding = True
        action = super().add_argument(*names, **options)
        self._is_adding = False
        if options.get("action") == "store_true":
            self._switches.update(dict.fromkeys(names, action.dest))
        return action

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        for word in args or ():
            name, equals, text = word.partition("=")
            if equals and text in (*TRUE, *FALSE) and name in self._switches and word not in self._spelled:
                self._spelled.add(word)
                value, hidden = text in TRUE, argparse.SUPPRESS
                self.add_argument(word, dest=self._switches[name], action="store_const", const=value, help=hidden)
        return super().parse_known_args(args, namespace)

    def _formatter(self, prog: str) -> argparse.HelpFormatter:
        """One is made for every flag that is added, to try it out: that need not ask how wide the terminal is."""
        return argparse.HelpFormatter(prog, width=80 if self._is_adding else None)

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"see `{self.prog} --help`")


def make_parser(verb: str, summary: str) -> argparse.ArgumentParser:
    """The parser of one verb, with the flags that every verb has."""
    handler = "resolve" if verb == "ls" else "error"  # -h of ls is that of every ls; --help stays
    parser = _Parser(prog=f"pyoci {verb}", description=f"{summary}.", allow_abbrev=False, conflict_handler=handler)
    parser.add_argument("--store", metavar="DIR", help="content store (default: $PYOCI_HOME or ~/.local/share/pyoci)")
    return parser


def add_connection(parser: argparse.ArgumentParser) -> None:
    """Flags of everything that speaks to registries."""
    parser.add_argument(
        "--insecure-registry",
        action="append",
        default=[],
        metavar="HOST",
        help="allow plain HTTP, and TLS that cannot be verified, for this host[:port]",
    )
    parser.add_argument(
        "--ca-file", action="append", default=[], metavar="FILE", help="trust these certificate authorities as well"
    )
    parser.add_argument(
        "--cert-dir",
        action="append",
        default=[],
        metavar="DIR",
        help="use the certificates in this directory: *.crt of authorities, *.cert with *.key of our own",
    )
    parser.add_argument("--config", metavar="FILE", help="configuration file (default: ~/.config/pyoci/config.toml)")


def add_platform(parser: argparse.ArgumentParser) -> None:
    """Which image of an index is looked at."""
    parser.add_argument(
        "--platform", default="", metavar="OS/ARCH", help="platform to look at (default: this machine's)"
    )


def add_looking(parser: argparse.ArgumentParser) -> None:
    """What everything takes that looks into an image. What it fetches is told on a terminal, and only there."""
    add_platform(parser)
    add_connection(parser)
    parser.set_defaults(progress="terminal")


def add_progress(parser: argparse.ArgumentParser) -> None:
    """How progress is shown."""
    parser.add_argument(
        "--progress",
        choices=_PROGRESS,
        default="auto",
        help="how progress is shown on stderr (default: $BUILDKIT_PROGRESS, else auto: a live display on a terminal, "
        "else lines)",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="print the result alone")


def key_value(text: str, flag: str) -> tuple[str, str]:
    """`KEY=VALUE` as a pair.

    Raises:
        UsageError: there is no `=` or no key.
    """
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise UsageError(f'invalid value "{text}" for {flag}', hint=f"write {flag} KEY=VALUE")
    return key, value


def values_or_environment(texts: list[str], invalid: str, flag: str) -> dict[str, str]:
    """`NAME=VALUE`; a lone NAME takes its value from the environment, and is left out where it has none there.

    Raises:
        UsageError: there is no name; the message is `invalid`, in which `{}` is the text.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name:
            raise UsageError(invalid.format(f'"{text}"'), hint=f"write {flag} NAME=VALUE")
        if equals:
            found[name] = value
        elif name in os.environ:
            found[name] = os.environ[name]
    return found


def key_values(text: str, flag: str) -> dict[str, str]:
    """`key=value,key=value` (CSV as docker reads it: a field may be quoted) as a mapping; a lone `key` is `true`.

    Raises:
        UsageError: it is malformed.
    """
    import csv

    try:
        (fields,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError):
        raise UsageError(f'invalid value "{text}" for {flag}', hint=f"write {flag} key=value,key=value") from None
    result = {}
    for field in fields:
        key, equals, value = field.partition("=")
        result[key.strip().lower()] = value if equals else "true"
    return result


@contextmanager
def working(arguments: argparse.Namespace) -> Iterator[Options]:
    """Options for the API from the flags, with a reporter that is ended afterwards."""
    from pyoci.api.options import Options
    from pyoci.environment import current_environment

    environment = current_environment(arguments.store)
    reporter, close = _reporter(arguments)
    try:
        yield Options(
            environment=environment,
            reporter=reporter,
            insecure_registries=tuple(getattr(arguments, "insecure_registry", ())),
            ca_files=tuple(environment.path(name) for name in getattr(arguments, "ca_file", ())),
            cert_dirs=tuple(environment.path(name) for name in getattr(arguments, "cert_dir", ())),
            config=Path(arguments.config) if getattr(arguments, "config", None) else None,
        )
    finally:
        close()


def _reporter(arguments: argparse.Namespace) -> tuple[Reporter, Close]:
    from pyoci.cli.progress import PlainReporter, QuietReporter, TerminalReporter

    kind = _kind_of_progress(arguments)
    if kind == "quiet":
        return QuietReporter(sys.stderr), _nothing
    if kind == "none":
        from pyoci.progress import Reporter

        return Reporter(), _nothing
    if kind == "rawjson":
        from pyoci.cli.progress_json import RawJsonReporter

        as_json = RawJsonReporter(sys.stderr)
        return as_json, as_json.close
    if kind == "tty":
        reporter = TerminalReporter(sys.stderr)
        return reporter, reporter.close
    return PlainReporter(sys.stderr), _nothing


def _kind_of_progress(arguments: argparse.Namespace) -> str:
    kind: str = getattr(arguments, "progress", "quiet")
    if kind == "terminal":
        kind = "plain" if sys.stderr.isatty() else "quiet"
    if getattr(arguments, "quiet", False):
        return "none" if kind == "none" else "quiet"
    if kind == "auto":
        kind = os.environ.get("BUILDKIT_PROGRESS") or "auto"
        if kind not in _PROGRESS:
            raise UsageError(
                f'invalid progress mode "{kind}" in BUILDKIT_PROGRESS', hint=f"the modes are {', '.join(_PROGRESS)}"
            )
    if kind == "auto":
        return "tty" if sys.stderr.isatty() else "plain"
    return kind


def _nothing() -> None:
    return


if TYPE_CHECKING:
    from collections.abc import Callable

    Close = Callable[[], None]
