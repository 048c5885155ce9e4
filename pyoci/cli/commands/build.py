"""`pyoci build`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pyoci.build.request import BuildRequest, CachePlace, SecretSource, SshSource
from pyoci.cli.arguments import (
    TRUE,
    add_connection,
    add_progress,
    key_value,
    key_values,
    values_or_environment,
    working,
)
from pyoci.cli.attest_flags import parse_attestations
from pyoci.cli.docker_flags import add_docker_flags, left_out
from pyoci.cli.outputs import parse_caches, parse_output, pushed, write_result
from pyoci.cli.quantities import parse_host, parse_size, parse_ulimit
from pyoci.errors import UsageError
from pyoci.values import replace

if TYPE_CHECKING:
    from pyoci.cli.progress_json import WarningKeeper
    from pyoci.progress import Reporter

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of docker build, as far as they are there."""
    parser.add_argument(
        "context", metavar="CONTEXT", help="what is copied: directory, tar, URL, git repository, or - for stdin"
    )
    _add_input(parser)
    _add_result(parser)
    _add_steps(parser)
    _add_checks(parser)
    add_docker_flags(parser)
    add_progress(parser)
    add_connection(parser)


def _add_input(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-f", "--file", default="", metavar="FILE", help="Dockerfile: path in CONTEXT, URL, or - (default: Dockerfile)")
    add("--target", default="", metavar="STAGE", help="stage to build (default: the last one)")
    _repeated(parser, "--build-arg", "NAME[=VALUE]", "value of an ARG, else from the environment")
    _repeated(parser, "--build-context", "NAME=SOURCE", "directory, image, URL, … by name")
    _repeated(parser, "--platform", "OS/ARCH", "platform of the image; several make an index")
    add("--pull", action="store_true", help="ask registries for newer base images")


def _add_result(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-t", "--tag", action="append", default=[], metavar="NAME[:TAG]", help="name of the image; may be repeated")
    add(
        *("-o", "--output"),
        action="append",
        default=[],
        metavar="type=T,dest=D",
        help="oci, docker, local, tar, image, registry",
    )
    add("--push", action="store_true", help="push the image to the registry in its name")
    add("--load", action="store_true", help="keep the image in the store (it always is)")
    add("--squash", action="store_true", help="join the layers of the build to one")
    add("--iidfile", metavar="FILE", help="write the image ID to a file")
    add("--metadata-file", metavar="FILE", help="write digests and names to a JSON file")
    _repeated(parser, "--label", "KEY=VALUE", "metadata of the image")
    add("--provenance", default="", metavar="true|mode=min|max", help="tell beside the image how it was built")
    add("--sbom", default="", metavar="true|false", help="list beside the image the packages that are in it")
    _repeated(parser, "--attest", "type=T[,mode=M]", "provenance or sbom, as a list of keys")
    _repeated(parser, "--annotation", "[TYPE:]KEY=VALUE", "annotation of the manifest, or of index: and others")


def _add_steps(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--no-cache", action="store_true", help="run every step again")
    _repeated(parser, "--no-cache-filter", "STAGE", "run the steps of a stage again")
    _repeated(parser, "--cache-from", "type=T,…", "look for steps in a registry or directory as well")
    _repeated(parser, "--cache-to", "type=T,…", "put what the steps added there for others: registry, local, inline")
    add("--network", choices=("default", "host", "none"), default="default", help="network of RUN steps")
    _repeated(parser, "--secret", "id=ID[,src=FILE|env=VAR]", "secret for RUN --mount")
    _repeated(parser, "--ssh", "default|ID[=SOCKET|KEY]", "ssh agent or key for RUN and git")
    _repeated(parser, "--allow", "ENTITLEMENT", "security.insecure or network.host")
    add(
        "--isolation",
        default="",
        metavar="MODE",
        help="sandbox mode: root, subuid, single (default: the best that works)",
    )
    _repeated(parser, "--add-host", "NAME:ADDRESS", "further line of /etc/hosts in RUN")
    _repeated(parser, "--ulimit", "NAME=SOFT[:HARD]", "limit of RUN steps")
    add("--shm-size", default="", metavar="SIZE", help="size of /dev/shm in RUN (default: 64m)")
    add("-m", "--memory", default="", metavar="SIZE", help="memory that a RUN may use")
    add("--cgroup-parent", default="", metavar="PATH", help="cgroup of RUN steps")
    add("--ca-bundle", default="", metavar="host|FILE", help="certificates that RUN trusts, in no layer")
    add("--step-timeout", type=float, metavar="SECONDS", help="end a RUN that takes longer")


def _add_checks(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--check", action="store_true", help="look for what is legal but should not be, and build nothing")
    add(
        "--call", default="build", metavar="build|check|outline|targets", help="say something of the Dockerfile instead"
    )
    add(
        "--preflight",
        choices=("error", "warn", "off"),
        default="warn",
        help="what is done about an image that cannot run as it is configured (default: warn)",
    )
    add("--preflight-for", choices=("kubernetes",), default="", help="look for what Kubernetes minds as well")
    _repeated(parser, "--preflight-skip", "RULE", "leave out a preflight rule")


def _repeated(parser: argparse.ArgumentParser, flag: str, metavar: str, summary: str) -> None:
    parser.add_argument(flag, action="append", default=[], metavar=metavar, help=summary)


def run(arguments: argparse.Namespace) -> int:
    """Builds; prints the image ID."""
    from pyoci.api.build import build

    request = _request(arguments)
    omitted = left_out(arguments)
    call, _, call_format = ("check" if arguments.check else arguments.call).partition(",")
    if call != "build":
        return _called(call, call_format, request, arguments, omitted)
    with working(arguments) as options:
        keeper = _keeper(arguments, options.reporter)
        options = replace(options, reporter=keeper or options.reporter)
        for line in (*omitted, *_without_provenance(arguments)):
            options.reporter.warning(line)
        result = build(request, options=options)
    if arguments.iidfile:
        write_result(arguments.iidfile, str(result.image_id))
    if arguments.metadata_file:
        metadata = result.metadata()
        if keeper is not None and keeper.warnings:
            metadata["buildx.build.warnings"] = keeper.warnings
        write_result(arguments.metadata_file, json.dumps(metadata, indent=2) + "\n")
    if not any(output.destination == "-" for output in request.outputs):
        sys.stdout.write(f"{result.image_id}\n")
    return 0


def _keeper(arguments: argparse.Namespace, reporter: Reporter) -> WarningKeeper | None:
    """Who keeps warnings for the metadata, where buildx's variable asks for them."""
    if not arguments.metadata_file or os.environ.get("BUILDX_METADATA_WARNINGS", "") not in TRUE:
        return None
    from pyoci.cli.progress_json import WarningKeeper

    return WarningKeeper(reporter)


def _without_provenance(arguments: argparse.Namespace) -> Iterator[str]:
    asked = os.environ.get("BUILDX_METADATA_PROVENANCE", "")
    if arguments.metadata_file and asked in ("min", "max"):
        yield f"BUILDX_METADATA_PROVENANCE={asked} is left out: no provenance is made"


def _called(
    call: str, call_format: str, request: BuildRequest, arguments: argparse.Namespace, omitted: list[str]
) -> int:
    """`--call`: exit status 1 where checks find something, as docker's."""
    from pyoci.api.build_checks import check_build, outline_build, targets_of
    from pyoci.cli import checks

    if call_format not in ("", "format=text", "format=json"):
        raise UsageError(f'invalid option "{call_format}" of --call', hint="write --call=check,format=json")
    as_json = call_format == "format=json"
    with working(arguments) as options:
        for line in omitted:
            options.reporter.warning(line)
        match call:
            case "check":
                found = check_build(request, options=options)
                sys.stdout.write(checks.findings_as_json(found) if as_json else checks.findings_as_text(found))
                return 1 if found else 0
            case "outline":
                outline = outline_build(request, options=options)
                sys.stdout.write(checks.outline_as_json(outline) if as_json else checks.outline_as_text(outline))
            case "targets":
                stages = targets_of(request, options=options)
                sys.stdout.write(checks.targets_as_json(stages) if as_json else checks.targets_as_text(stages))
            case _:
                raise UsageError(f'unknown call "{call}"', hint="the calls are build, check, outline and targets")
    return 0


def _request(arguments: argparse.Namespace) -> BuildRequest:
    outputs = [parse_output(text) for text in arguments.output]
    if arguments.push:
        outputs = pushed(outputs)
    needs_stdin = "-" in (arguments.context, arguments.file)
    attested = parse_attestations(arguments.attest, provenance=arguments.provenance, sbom=arguments.sbom)
    return BuildRequest(
        context=arguments.context,
        file=arguments.file,
        stdin=sys.stdin.buffer if needs_stdin else None,
        tags=tuple(arguments.tag),
        target=arguments.target,
        platforms=tuple(arguments.platform),
        build_args=_build_args(arguments.build_arg),
        build_contexts=dict(key_value(text, "--build-context") for text in arguments.build_context),
        outputs=tuple(outputs),
        labels=dict(_label(text) for text in arguments.label),
        annotations=dict(key_value(text, "--annotation") for text in arguments.annotation),
        squash=arguments.squash,
        no_cache=arguments.no_cache,
        no_cache_filter=tuple(name for text in arguments.no_cache_filter for name in text.split(",")),
        cache_from=_caches(arguments.cache_from, "--cache-from"),
        cache_to=_caches(arguments.cache_to, "--cache-to"),
        pull=arguments.pull,
        network=arguments.network,
        secrets=tuple(_secret(text) for text in arguments.secret),
        ssh=tuple(_ssh(text) for text in arguments.ssh),
        add_hosts=tuple(parse_host(text) for text in arguments.add_host),
        ulimits=dict(parse_ulimit(text) for text in arguments.ulimit),
        shm_size=parse_size(arguments.shm_size, "--shm-size") if arguments.shm_size else 0,
        memory=parse_size(arguments.memory, "--memory") if arguments.memory else 0,
        cgroup_parent=arguments.cgroup_parent,
        ca_bundle=arguments.ca_bundle,
        allow=frozenset(_entitlement(name) for text in arguments.allow for name in text.split(",")),
        step_timeout_seconds=arguments.step_timeout,
        provenance=attested.provenance,
        builder_id=attested.builder_id,
        sbom=attested.sbom,
        isolation=arguments.isolation,
        preflight=arguments.preflight,
        preflight_for=arguments.preflight_for,
        preflight_skip=tuple(name for text in arguments.preflight_skip for name in text.split(",")),
    )


def _entitlement(name: str) -> str:
    if name not in ("security.insecure", "network.host"):
        raise UsageError(
            f'invalid entitlement "{name}" for --allow', hint="the entitlements are security.insecure and network.host"
        )
    return name


def _build_args(texts: list[str]) -> dict[str, str]:
    """What was given, and as buildx does, SOURCE_DATE_EPOCH of the environment, for whoever declares it."""
    found = values_or_environment(texts, "invalid value {} for --build-arg", "--build-arg")
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    return found if "SOURCE_DATE_EPOCH" in found or not epoch else {**found, "SOURCE_DATE_EPOCH": epoch}


def _caches(texts: list[str], flag: str) -> tuple[CachePlace, ...]:
    return tuple(place for text in texts if text for place in parse_caches(text, flag))


def _label(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    return key, value


def _ssh(text: str) -> SshSource:
    name, _, path = text.partition("=")
    if not name or "," in path:
        raise UsageError(f'invalid value "{text}" for --ssh', hint="write --ssh default, or --ssh ID=SOCKET_OR_KEY")
    return SshSource(name, path)


def _secret(text: str) -> SecretSource:
    values = key_values(text, "--secret")
    kind = values.pop("type", "")
    source = SecretSource(
        id=values.pop("id", ""), file=values.pop("src", values.pop("source", "")), env=values.pop("env", "")
    )
    if kind == "env" and source.file:
        source = SecretSource(source.id, env=source.file)
    if values or kind not in ("", "file", "env"):
        unknown = next(iter(values), f"type={kind}")
        raise UsageError(f'unexpected key "{unknown}" in --secret', hint="the keys are id, src, env and type")
    if not source.id:
        raise UsageError("--secret needs an id", hint="write --secret id=NAME,src=FILE or id=NAME,env=VARIABLE")
    return source
