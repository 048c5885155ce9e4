"""`pyoci bake`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pyoci.cli.arguments import FALSE, TRUE, add_connection, add_progress, key_value, working
from pyoci.errors import UsageError

if TYPE_CHECKING:
    from pyoci.api.bake import BakeRequest
    from pyoci.api.bake_remote import Remote
    from pyoci.api.options import Options
    from pyoci.bake.read import BakeFile
    from pyoci.bake.resolve import Resolved
    from pyoci.cli.bake_calls import Call
    from pyoci.cli.bake_environment import BakeEnvironment
    from pyoci.cli.bake_request import BakeReader

__all__ = ["WORDS_BETWEEN_FLAGS", "add_arguments", "run"]

WORDS_BETWEEN_FLAGS = True
"""`bake URL -f FILE TARGET`: what is to be built may come before flags and after them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of docker buildx bake, as far as they are there."""
    add = parser.add_argument
    add(
        "target",
        nargs="*",
        default=[],
        metavar="TARGET",
        help="targets, groups or patterns (default: default); before them a URL with the bake files, "
        "and one for the directory that the command works in",
    )
    _add_files(parser)
    _add_values(parser)
    _add_result(parser)
    _add_refused(parser)
    add_progress(parser)
    add_connection(parser)


def _add_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        *("-f", "--file"),
        action="append",
        default=[],
        metavar="FILE",
        help="bake or Compose file, in the URL if one is given, - for stdin, cwd://FILE for one here; may be repeated "
        "(default: $BUILDX_BAKE_FILE, or the usual names)",
    )
    _switch(parser, "--print", "show the resolved targets as JSON and build nothing")
    parser.add_argument(
        "--list",
        default="",
        metavar="targets|variables",
        help="list what the files define and build nothing; type=targets,format=json for JSON",
    )
    for name in ("targets", "variables"):
        parser.add_argument(
            f"--list-{name}", dest="list", action="store_const", const=name, default="", help=argparse.SUPPRESS
        )
    _switch(parser, "--check", "look for what is legal but should not be, and build nothing")
    parser.add_argument(
        "--call", default="", metavar="build|check|outline|targets", help="say something of the Dockerfiles instead"
    )


def _add_values(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--set", action="append", default=[], metavar="TARGET.KEY=VALUE", help="override a value; may be repeated")
    add("--var", action="append", default=[], metavar="NAME=VALUE", help="set a variable; may be repeated")
    _switch(parser, "--no-cache", "run every step again")
    _switch(parser, "--pull", "ask registries for newer base images")
    _switch(parser, "--push", "push the images to the registries in their names")
    _switch(parser, "--load", "keep the images in the store (they always are)")
    add("--provenance", default="", metavar="false", help="shorthand for --set=*.attest=type=provenance")
    add("--sbom", default="", metavar="false", help="shorthand for --set=*.attest=type=sbom")
    add("--policy", action="append", default=[], metavar="disabled=true", help="source policies are not read")


def _add_result(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--metadata-file", metavar="FILE", help="write digests and names to a JSON file, by target")
    add(
        "--allow",
        action="append",
        default=[],
        metavar="ENTITLEMENT",
        help="security.insecure, network.host, ssh, fs=PATH, fs.read=PATH or fs.write=PATH",
    )
    add("--isolation", default="", metavar="MODE", help="sandbox mode (default: the best that works)")
    add("--ca-bundle", default="", metavar="host|FILE", help="certificates that RUN trusts, in no layer")
    add(
        "--preflight",
        choices=("error", "warn", "off"),
        default="warn",
        help="what is done about an image that cannot run as it is configured (default: warn)",
    )
    add("--builder", default="", metavar="NAME", help="there are no builders to choose from")


def _switch(parser: argparse.ArgumentParser, flag: str, summary: str) -> None:
    """None where it is not given: bake files may say the same."""
    parser.add_argument(flag, action="store_true", default=None, help=summary)


def _add_refused(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-D", "--debug", action=_Refused, nargs=0, help=argparse.SUPPRESS)


class _Refused(argparse.Action):
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        from pyoci.cli.docker_flags import REFUSED

        raise UsageError(f"{option_string} of docker buildx bake is not there", hint=REFUSED["--debug"])


def run(arguments: argparse.Namespace) -> int:
    """Builds the targets; prints each one's name and image ID."""
    from pyoci.cli.bake_calls import parse_call
    from pyoci.cli.bake_environment import bake_environment

    if arguments.print and arguments.list:
        raise UsageError("--print and --list exclude each other")
    call = parse_call("check" if arguments.check else arguments.call)
    with working(arguments) as options:
        environment = bake_environment(options.environment.variables)
        url, command_context, names = _words(arguments.target)
        with _remote(url, environment, options) as remote:
            found = _read(arguments, options, environment, remote, command_context)
            if arguments.list:
                from pyoci.cli.bake_listing import listing

                sys.stdout.write(listing(arguments.list, found))
                return 0
            return _resolved(arguments, call, found, names, options, environment, remote)


def _words(words: Sequence[str]) -> tuple[str, str, list[str]]:
    """The URL of the bake files, the directory that the command works in, and what is to be built."""
    from pyoci.api.bake_remote import is_remote

    rest = list(words)
    url = rest.pop(0) if rest and is_remote(rest[0]) else ""
    command_context = rest.pop(0) if url and rest and is_remote(rest[0]) else "cwd://"
    return url, command_context, rest


@contextmanager
def _remote(url: str, environment: BakeEnvironment, options: Options) -> Iterator[Remote | None]:
    if not url:
        yield None
        return
    from pyoci.api.bake_remote import git_host, opened_remote

    secrets = environment.git_secrets(git_host(url))
    with opened_remote(url, options=options, secrets=secrets, ssh=environment.ssh) as remote:
        yield remote


def _read(
    arguments: argparse.Namespace,
    options: Options,
    environment: BakeEnvironment,
    remote: Remote | None,
    command_context: str,
) -> BakeFile:
    from pyoci.api.bake import read_bake

    return read_bake(
        arguments.file or environment.files,
        variables=dict(key_value(text, "--var") for text in arguments.var if text),
        stdin=sys.stdin.buffer,
        options=options,
        remote=remote,
        command_context=command_context,
        use_environment=environment.looks_up,
        relative_paths=environment.relative_paths,
    )


def _resolved(
    arguments: argparse.Namespace,
    call: Call,
    found: BakeFile,
    names: Sequence[str],
    options: Options,
    environment: BakeEnvironment,
    remote: Remote | None,
) -> int:
    """Resolves the targets, and prints or builds them."""
    from pyoci.api.bake_permissions import check_permissions, parse_permissions
    from pyoci.bake.resolve import resolve
    from pyoci.cli.bake_calls import calls_of, say
    from pyoci.cli.bake_request import BakeReader
    from pyoci.values import replace

    permissions = parse_permissions(arguments.allow)
    variables = options.environment.variables
    lookup = variables if environment.looks_up else {}
    overrides = [*arguments.set, *_shorthands(arguments, call)]
    resolved = resolve(found.definitions, names or ["default"], overrides, variables=lookup)
    resolved = _with_epoch(resolved, variables)
    reader = BakeReader(arguments, permissions, options, remote, environment)
    if arguments.print:
        sys.stdout.write(_printed(resolved, reader))
        return 0
    for line in _left_out(arguments, permissions.without_effect):
        options.reporter.warning(line)
    requests = {name: reader.request(target) for name, target in resolved.targets.items()}
    needs = {name: reader.needs(target) for name, target in resolved.targets.items()}
    guards = environment.guards_files if remote is None else environment.guards_remote_files
    check_permissions(needs, permissions, options.environment, guards_files=guards)
    calls = calls_of(resolved)
    if calls:
        shown = replace(resolved, targets={name: reader.shown(one) for name, one in resolved.targets.items()})
        return say(calls, call, requests, shown, options)
    return _built(arguments, requests, options)


def _shorthands(arguments: argparse.Namespace, call: Call) -> list[str]:
    """Flags that stand for overrides of all targets."""
    from pyoci.cli.docker_flags import REFUSED

    found = [f"*.{name}=true" for name in ("push", "load") if getattr(arguments, name)]
    if call.name != "build":
        found.append(f"*.call={'lint' if call.name == 'check' else call.name}")
    for name in ("no-cache", "pull"):
        value = getattr(arguments, name.replace("-", "_"))
        if value is not None:
            found.append(f"*.{name}={'true' if value else 'false'}")
    for kind in ("sbom", "provenance"):
        text = getattr(arguments, kind)
        if text:
            rest = f"disabled={'false' if text in TRUE else 'true'}" if text in (*TRUE, *FALSE) else text
            found.append(f"*.attest=type={kind},{rest}")
    for text in arguments.policy:
        if "filename" in text or "reset" in text:
            raise UsageError(f'invalid value "{text}" for --policy', hint=REFUSED["--policy"])
        found.append(f"*.policy+={text}")
    return found


def _with_epoch(resolved: Resolved, variables: Mapping[str, str]) -> Resolved:
    """SOURCE_DATE_EPOCH of the environment as a build argument of targets that have none."""
    from pyoci.values import replace

    epoch = variables.get("SOURCE_DATE_EPOCH", "")
    if not epoch:
        return resolved
    given = {name: {"SOURCE_DATE_EPOCH": epoch, **(one.args or {})} for name, one in resolved.targets.items()}
    return replace(resolved, targets={name: replace(one, args=given[name]) for name, one in resolved.targets.items()})


def _printed(resolved: Resolved, reader: BakeReader) -> str:
    from pyoci.bake.render import definition, render_json

    targets = {name: reader.shown(target) for name, target in resolved.targets.items()}
    return render_json(definition(resolved.groups, targets)) + "\n"


def _left_out(arguments: argparse.Namespace, entitlements: Sequence[str]) -> Iterator[str]:
    """What the flags ask for and does not happen, a line each."""
    if arguments.builder:
        yield f"--builder {arguments.builder} is left out: pyoci builds by itself"
    for name in entitlements:
        yield f"--allow {name} has no effect: no step of pyoci needs it"


def _built(arguments: argparse.Namespace, requests: Mapping[str, BakeRequest], options: Options) -> int:
    from pyoci.api.bake import bake

    results = bake(requests, options=options)
    if arguments.metadata_file:
        from pyoci.cli.outputs import write_result

        metadata = {name: result.metadata() for name, result in sorted(results.items())}
        write_result(arguments.metadata_file, json.dumps(metadata, indent=2) + "\n")
    if not any(output.destination == "-" for one in requests.values() for output in one.build.outputs):
        made = {name: result for name, result in results.items() if not requests[name].linked}
        sys.stdout.writelines(f"{name} {made[name].image_id}\n" for name in sorted(made))
    return 0
