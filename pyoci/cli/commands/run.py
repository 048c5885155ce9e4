"""`pyoci run`."""

from __future__ import annotations

import argparse
import sys

from pyoci.cli.arguments import add_connection, values_or_environment, working
from pyoci.errors import UsageError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of docker run that mean something for one process in the foreground."""
    add = parser.add_argument
    add("--rm", action="store_true", help="remove what it wrote afterwards (it always is)")
    add("-i", "--interactive", action="store_true", help="give it this standard input")
    add("-t", "--tty", action="store_true", help="give it a terminal")
    add("-it", dest="both", action="store_true", help=argparse.SUPPRESS)
    add("-ti", dest="both", action="store_true", help=argparse.SUPPRESS)
    add("--entrypoint", metavar="PROGRAM", help="run this instead of the image's entrypoint")
    add("-e", "--env", action="append", default=[], metavar="NAME[=VALUE]", help="set a variable")
    add("-u", "--user", default="", metavar="USER[:GROUP]", help="run as this user of the image")
    add("-w", "--workdir", default="", metavar="DIR", help="working directory")
    add("-v", "--volume", action="append", default=[], metavar="HOST:PATH[:ro]", help="show a host path")
    add("--network", choices=("host", "none"), default="host", help="network")
    add("--hostname", default="pyoci", metavar="NAME", help="host name")
    add("--isolation", default="", metavar="MODE", help="sandbox mode (default: the best that works)")
    add("image", metavar="IMAGE", help="name or ID")
    add("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="instead of the image's CMD")
    add_connection(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs; the exit status is the process's."""
    from pyoci.api.run import RunRequest, volume
    from pyoci.api.run import run as run_image
    from pyoci.values import replace

    interactive = arguments.interactive or arguments.both
    terminal = arguments.tty or arguments.both
    if terminal and not sys.stdin.isatty():
        raise UsageError("the input device is not a TTY", hint="leave -t out when the input is no terminal")
    request = RunRequest(
        image=arguments.image,
        command=tuple(arguments.command),
        entrypoint=arguments.entrypoint,
        env=values_or_environment(arguments.env, "invalid environment variable {}", "-e"),
        user=arguments.user,
        workdir=arguments.workdir,
        hostname=arguments.hostname,
        network=arguments.network,
        volumes=tuple(volume(text) for text in arguments.volume),
        stdin=0 if interactive or terminal else None,
        terminal=terminal,
    )
    sys.stdout.flush()
    with working(arguments) as options:
        return run_image(request, options=replace(options, isolation=arguments.isolation))
