"""`pyoci bake`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyoci.cli.arguments import add_connection, add_progress, key_value, key_values, working
from pyoci.errors import UsageError

if TYPE_CHECKING:
    from pyoci.api.bake import BakeRequest
    from pyoci.api.services import Options
    from pyoci.bake.read import BakeFile
    from pyoci.bake.resolve import Resolved
    from pyoci.build.request import BuildRequest

__all__ = ["add_arguments", "run"]

_CALLS = ("build", "check", "outline", "targets")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of docker buildx bake, as far as they are there."""
    add = parser.add_argument
    add("target", nargs="*", default=[], metavar="TARGET", help="targets, groups or patterns (default: default)")
    add(
        *("-f", "--file"),
        action="append",
        default=[],
        metavar="FILE",
        help="bake or Compose file, - for stdin; may be repeated (default: the usual names in this directory)",
    )
    add("--print", action="store_true", help="show the resolved targets as JSON and build nothing")
    add("--list", default="", metavar="targets|variables", help="list what the files define and build nothing")
    add("--set", action="append", default=[], metavar="TARGET.KEY=VALUE", help="override a value; may be repeated")
    add("--var", action="append", default=[], metavar="NAME=VALUE", help="set a variable; may be repeated")
    add("--check", action="store_true", help="look for what is legal but should not be, and build nothing")
    add("--call", default="", metavar="build|check|outline|targets", help="say something of the Dockerfiles instead")
    add("--no-cache", action="store_true", help="run every step again")
    add("--pull", action="store_true", help="ask registries for newer base images")
    add("--push", action="store_true", help="push the images to the registries in their names")
    add("--load", action="store_true", help="keep the images in the store (they always are)")
    add("--metadata-file", metavar="FILE", help="write digests and names to a JSON file, by target")
    add("--allow", action="append", default=[], metavar="ENTITLEMENT", help="security.insecure or network.host")
    add("--isolation", default="", metavar="MODE", help="sandbox mode (default: the best that works)")
    add(
        "--preflight",
        choices=("error", "warn", "off"),
        default="warn",
        help="what is done about an image that cannot run as it is configured (default: warn)",
    )
    add_progress(parser)
    add_connection(parser)


def run(arguments: argparse.Namespace) -> int:
    """Builds the targets; prints each one's name and image ID."""
    from pyoci.api.bake import bake, read_bake
    from pyoci.bake.resolve import resolve
    from pyoci.cli.bake_request import bake_request, warn_of_unsupported

    if arguments.print and arguments.list:
        raise UsageError("--print and --list exclude each other")
    for name in arguments.target:
        if "://" in name or name.startswith("git@"):
            raise UsageError(
                f'a bake file cannot be read from "{name}"',
                hint="clone the repository and run pyoci bake in it; a target's context may be a URL",
            )
    variables = dict(key_value(text, "--var") for text in arguments.var)
    call, _, call_format = ("check" if arguments.check else arguments.call or "build").partition(",")
    if call not in _CALLS or call_format not in ("", "format=text", "format=json"):
        raise UsageError(f'unknown call "{arguments.call}"', hint="the calls are build, check, outline and targets")
    with working(arguments) as options:
        found = read_bake(arguments.file, variables=variables, stdin=sys.stdin.buffer, options=options)
        if arguments.list:
            sys.stdout.write(_list(arguments.list, found))
            return 0
        known = {**options.environment.variables, **variables}
        overrides = [*arguments.set, *_shorthands(arguments, call)]
        resolved = resolve(found.definitions, arguments.target or ["default"], overrides, variables=known)
        if arguments.print:
            sys.stdout.write(_printed(resolved))
            return 0
        told: set[str] = set()
        for target in resolved.targets.values():
            warn_of_unsupported(target, options.reporter.warning, told)
        requests = {name: bake_request(target, arguments) for name, target in resolved.targets.items()}
        calls = {name: target.call or "build" for name, target in resolved.targets.items() if not target.linked}
        called = {name: what for name, what in calls.items() if what not in ("", "build")}
        if called:
            return _call(called, requests, options, as_json=call_format == "format=json")
        results = bake(requests, options=options)
    if arguments.metadata_file:
        from pyoci.cli.outputs import write_result

        metadata = {name: result.metadata() for name, result in sorted(results.items())}
        write_result(arguments.metadata_file, json.dumps(metadata, indent=2) + "\n")
    if not any(output.destination == "-" for one in requests.values() for output in one.build.outputs):
        made = {name: result for name, result in results.items() if not requests[name].linked}
        sys.stdout.writelines(f"{name} {made[name].image_id}\n" for name in sorted(made))
    return 0


def _shorthands(arguments: argparse.Namespace, call: str) -> list[str]:
    """Flags that stand for overrides of all targets."""
    found = [f"*.{name}=true" for name in ("push", "load") if getattr(arguments, name)]
    found += [f"*.{name}=true" for name in ("no-cache", "pull") if getattr(arguments, name.replace("-", "_"))]
    if arguments.check or arguments.call:
        found.append(f"*.call={call}")
    return found


def _printed(resolved: Resolved) -> str:
    from pyoci.bake.render import definition, render_json

    return render_json(definition(resolved.groups, resolved.targets)) + "\n"


def _list(text: str, found: BakeFile) -> str:
    values = {"type": text} if "=" not in text else key_values(text, "--list")
    shown = values.get("format", "table")
    if shown not in ("table", "json") or values.get("type") not in ("targets", "variables"):
        raise UsageError(
            f'invalid value "{text}" for --list', hint="write --list targets, or type=variables,format=json"
        )
    as_json = shown == "json"
    if values["type"] == "variables":
        return _variables(found, as_json=as_json)
    groups, targets = found.definitions.groups, found.definitions.targets
    rows: list[dict[str, Any]] = []
    for name in sorted({*groups, *targets}):
        if name.startswith("_"):
            continue
        if name in targets and name not in groups:
            rows.append({"name": name, "description": targets[name].description or ""})
            continue
        members = ", ".join(sorted(groups[name].targets))
        about = groups[name].description
        described = f"{about} ({members})" if about and members else about or members
        rows.append({"name": name, "description": described, "group": True})
    if as_json:
        return json.dumps([{k: v for k, v in row.items() if v != ""} for row in rows], indent=2) + "\n"
    return _table([["TARGET", "DESCRIPTION"], *([row["name"], row["description"]] for row in rows)])


def _variables(found: BakeFile, *, as_json: bool) -> str:
    from pyoci.bake.values import as_text

    rows = [["VARIABLE", "TYPE", "VALUE", "DESCRIPTION"]]
    values: list[dict[str, Any]] = []
    for one in found.variables:
        plain = isinstance(one.value, str | bool | int | float)
        text = as_text(one.value) if plain else "<null>" if one.value is None else json.dumps(one.value)
        rows.append([one.name, one.type, text, one.description])
        value = {"name": one.name, "description": one.description, "type": one.type}
        values.append({k: v for k, v in value.items() if v} | {"value": None if one.value is None else text})
    return json.dumps(values, indent=2) + "\n" if as_json else _table(rows)


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines) + "\n"


def _with_placeholders(one: BakeRequest) -> BuildRequest:
    """The build with files where results of other targets would be: what is not built is not asked for anywhere."""
    from dataclasses import replace

    return replace(one.build, build_contexts={**one.build.build_contexts, **dict.fromkeys(one.links, ".")})


def _call(called: dict[str, str], requests: dict[str, BakeRequest], options: Options, *, as_json: bool) -> int:
    """Says something of each target's Dockerfile; 1 if checks find something."""
    from pyoci.api.build_checks import check_build, outline_build, targets_of
    from pyoci.cli import checks

    status = 0
    texts: dict[str, str] = {}
    for name in sorted(called):
        request = _with_placeholders(requests[name])
        match called[name]:
            case "check" | "lint":
                found = check_build(request, options=options)
                texts[name] = checks.findings_as_json(found) if as_json else checks.findings_as_text(found)
                status = 1 if found else status
            case "outline":
                outline = outline_build(request, options=options)
                texts[name] = checks.outline_as_json(outline) if as_json else checks.outline_as_text(outline)
            case "targets":
                stages = targets_of(request, options=options)
                texts[name] = checks.targets_as_json(stages) if as_json else checks.targets_as_text(stages)
            case other:
                raise UsageError(f'target {name}: unknown call "{other}"', hint=f"the calls are {', '.join(_CALLS)}")
    if as_json:
        value = {"target": {name: {called[name]: json.loads(text)} for name, text in texts.items()}}
        sys.stdout.write(json.dumps(value, indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(f"{name}\n\n{text}" for name, text in texts.items()))
    return status
