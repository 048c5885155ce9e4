"""`pyoci login`."""

from __future__ import annotations

import argparse
import sys

from pyoci.cli.arguments import add_connection, working
from pyoci.errors import UsageError

__all__ = ["add_arguments", "run"]

_SAFELY = "give it on standard input: pyoci login -u USER --password-stdin REGISTRY < FILE"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of docker login, but for the password itself."""
    parser.add_argument("registry", nargs="?", default="", metavar="REGISTRY", help="host[:port] (default: docker.io)")
    parser.add_argument("-u", "--username", default="", metavar="USER", help="user name (default: it is asked for)")
    parser.add_argument(
        "--password-stdin", action="store_true", help="read the password from standard input instead of asking for it"
    )
    parser.add_argument("-p", "--password", nargs="?", const="", help=argparse.SUPPRESS)
    add_connection(parser)


def run(arguments: argparse.Namespace) -> int:
    """Says what docker says."""
    from pyoci.api.logins import login

    if arguments.password is not None:
        raise UsageError(
            "a password on the command line is seen by others and kept in the shell's history", hint=_SAFELY
        )
    username, password = _ask(arguments.username, from_stdin=arguments.password_stdin)
    with working(arguments) as options:
        login(arguments.registry, username=username, password=password, options=options)
    sys.stdout.write("Login Succeeded\n")
    return 0


def _ask(username: str, *, from_stdin: bool) -> tuple[str, str]:
    if from_stdin:
        if not username:
            raise UsageError("--password-stdin needs a user name", hint="add -u USER")
        return username, sys.stdin.read().removesuffix("\n").removesuffix("\r")
    if not sys.stdin.isatty():
        raise UsageError("cannot ask for a password: standard input is not a terminal", hint=_SAFELY)
    from getpass import getpass

    if not username:
        sys.stderr.write("Username: ")
        sys.stderr.flush()
        username = sys.stdin.readline().strip()
    try:
        return username, getpass("Password: ", stream=sys.stderr) if username else ""
    except EOFError:
        return username, ""
