"""`pyoci serve`."""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress

from pyoci.cli.arguments import add_connection, working
from pyoci.errors import UsageError

__all__ = ["add_arguments", "run"]

_NAMES = """\
names:
  HOST:PORT/NAME at the server is the image that pyoci calls NAME: localhost:5000/app:1 is app:1, and
  localhost:5000/gcr.io/team/app:1 is gcr.io/team/app:1. What is pushed lands there too.

It runs until it is interrupted.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is served, where, and to whom."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _NAMES
    parser.add_argument(
        "source", nargs="?", default="", metavar="oci-layout:DIR", help="serve this layout (default: the store)"
    )
    parser.add_argument(
        "--listen",
        default="127.0.0.1:5000",
        metavar="HOST:PORT",
        help="where to listen; port 0 takes a free one (default: 127.0.0.1:5000)",
    )
    parser.add_argument("--write", action="store_true", help="take what clients push")
    parser.add_argument("--delete", action="store_true", help="with --write, let clients delete as well")
    parser.add_argument("--offline", action="store_true", help="do not fetch layers that the store has not got yet")
    parser.add_argument("--tls-cert", default="", metavar="FILE", help="speak TLS with this certificate (PEM)")
    parser.add_argument("--tls-key", default="", metavar="FILE", help="its key (PEM)")
    parser.add_argument("--htpasswd", default="", metavar="FILE", help="let in the users of a file of htpasswd -B")
    parser.add_argument("--user", default="", metavar="NAME", help="let in this user, with --password-stdin")
    parser.add_argument("--password-stdin", action="store_true", help="read the user's password from standard input")
    parser.add_argument("-q", "--quiet", action="store_true", help="do not tell what was pushed and deleted")
    parser.set_defaults(progress="plain")
    add_connection(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the address, and what clients change; ends well when it is interrupted."""
    from pyoci.api.serving import serve
    from pyoci.values import replace

    password = _password(arguments.user, from_stdin=arguments.password_stdin)
    with working(arguments) as options, suppress(KeyboardInterrupt):
        serving = serve(
            arguments.source,
            listen=arguments.listen,
            write=arguments.write,
            delete=arguments.delete,
            certificate=arguments.tls_cert,
            key=arguments.tls_key,
            htpasswd=arguments.htpasswd,
            user=arguments.user,
            password=password,
            options=replace(options, offline=arguments.offline),
        )
        with serving as server:
            sys.stdout.write(f"{server.url}\n")
            sys.stdout.flush()
            server.wait()
    return 0


def _password(user: str, *, from_stdin: bool) -> str:
    if bool(user) != from_stdin:
        raise UsageError(
            "--user needs --password-stdin" if user else "--password-stdin needs --user",
            hint="pyoci serve --user NAME --password-stdin < FILE",
        )
    return sys.stdin.read().removesuffix("\n").removesuffix("\r") if from_stdin else ""
