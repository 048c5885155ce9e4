"""Flags of docker build for what pyoci has no part of: taken where the image is the same without them, else refused.

Scripts that were written for docker pass them. Nothing is ignored silently: what is left out is a warning, and what
would have made another image, or kept something that now is not kept, is an error that says why.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pyoci.cli.arguments import FALSE, TRUE
from pyoci.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["REFUSED", "add_docker_flags", "left_out"]

REFUSED = {
    "--cpu-period": "RUN steps have no CPU limit",
    "--cpu-quota": "RUN steps have no CPU limit",
    "--cpu-shares": "RUN steps have no CPU limit",
    "--cpuset-cpus": "RUN steps are not bound to processors",
    "--cpuset-mems": "RUN steps are not bound to memory nodes",
    "--debug": "PYOCI_DEBUG=1 shows where an error comes from",
    "--memory-swap": "swap has no limit of its own; --memory limits the memory of a RUN",
    "--policy": "source policies are not read",
    "--security-opt": "the sandbox has no options; RUN --security=insecure with --allow security.insecure loosens it",
}
"""Flags that are an error, with the reason."""

_SWITCHES = ("--debug",)


def add_docker_flags(parser: argparse.ArgumentParser) -> None:
    """Adds them. Refused ones are known, so that the error can say more than that they are not, but not in the help."""
    group = parser.add_argument_group("taken for docker's sake, without effect on the image")
    add = group.add_argument
    for flag, summary in {
        "--rm": "containers of steps are never kept",
        "--force-rm": "containers of steps are never kept",
        "--compress": "the context is not sent anywhere",
        "--disable-content-trust": "signatures of base images are not looked for",
    }.items():
        name = flag[2:].replace("-", "_")
        add(flag, action="store_true", default=None, help=summary)
        for text in (*TRUE, *FALSE):
            # argparse knows `--rm=false` as a flag of that name; a value that may be missing would eat the context.
            constant = text in TRUE
            add(f"{flag}={text}", dest=name, action="store_const", const=constant, help=argparse.SUPPRESS)
    add("--builder", default="", metavar="NAME", help="there are no builders to choose from")
    for flag in REFUSED:
        arity = 0 if flag in _SWITCHES else None
        parser.add_argument(flag, action=_Refused, nargs=arity, help=argparse.SUPPRESS)


class _Refused(argparse.Action):
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        flag = option_string or ""
        raise UsageError(f"{flag} of docker build is not there", hint=REFUSED[flag])


def left_out(arguments: argparse.Namespace) -> list[str]:
    """What the flags ask for and does not happen, a line each.

    Raises:
        UsageError: leaving it out would give something else than was asked for.
    """
    return list(_left_out(arguments))


def _left_out(arguments: argparse.Namespace) -> Iterator[str]:
    if arguments.rm is False:
        yield "--rm=false is left out: no container of a step is kept"
    if arguments.builder:
        yield f"--builder {arguments.builder} is left out: pyoci builds by itself"
