"""`bake`: reads bake and Compose files, and builds several targets in one run, sharing what they have in common.

Targets that take others as contexts (`target:NAME`) are built after them; all that do not wait for one another are one
graph. The result of a target is found by those who take it under its digest in the store.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import BinaryIO

from pyoci.api.bake_remote import FILE_LIMIT, Remote
from pyoci.api.bases import BAKED
from pyoci.api.build import BuildResult
from pyoci.api.building import DEFAULT_JOBS, finish, imported_steps
from pyoci.api.cache_options import cache_sources, written_references
from pyoci.api.contexts import LazyContexts
from pyoci.api.early_push import Places, early_push
from pyoci.api.epoch import given_epoch
from pyoci.api.leaks import LeakSearch
from pyoci.api.output_options import check_outputs, pushed_names
from pyoci.api.prepare import Prepared, prepared
from pyoci.api.push_permission import push_permission
from pyoci.api.services import Options, Services, opened
from pyoci.bake.env_file import parse_env_file
from pyoci.bake.read import DEFAULT_FILES, BakeFile, Surroundings, read_definitions
from pyoci.build.builder import plan_images
from pyoci.build.cache_key import structural_digest
from pyoci.build.request import BuildRequest
from pyoci.build.together import Job, build_together
from pyoci.dockerfile.parser import decode_source
from pyoci.errors import UsageError
from pyoci.location import SourceFile
from pyoci.values import dataclass, field, replace

__all__ = ["BakeRequest", "bake", "read_bake"]


@dataclass(frozen=True, slots=True)
class BakeRequest:
    """One target of a run."""

    build: BuildRequest
    links: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Contexts that are results of other targets: the target's name by that of the context."""
    linked: bool = False
    """It is built for others alone: it gets no name, and nothing is written of it."""


def read_bake(
    files: Sequence[str] = (),
    *,
    variables: Mapping[str, str] | None = None,
    stdin: BinaryIO | None = None,
    options: Options | None = None,
    remote: Remote | None = None,
    command_context: str = "cwd://",
    use_environment: bool = True,
    relative_paths: bool = False,
) -> BakeFile:
    """What bake files define; the default files of the working directory where none are named. `-` is `stdin`.

    With `remote` they are files of that, but for those that begin with `cwd://`. `variables` come before the
    environment's, which count only with `use_environment`. `relative_paths` lets contexts be relative to the file that
    they are in; `command_context` is the value of `BAKE_CMD_CONTEXT`.

    Raises:
        UsageError: a file cannot be read, or there is none.
        BakeError: one is malformed, or something in it does not exist; located.
    """
    options = options or Options()
    environment = options.environment
    local = [name for name in files if remote is None or name.startswith("cwd://")]
    sources = list[SourceFile]()
    if remote is not None:
        sources += remote.sources([name for name in files if not name.startswith("cwd://")], DEFAULT_FILES)
    sources += [_read(name, options, stdin) for name in local]
    if not sources and remote is None:
        sources += _defaults(options)
    if not sources:
        raise UsageError(
            "couldn't find a bake definition", hint=f"write one of {', '.join(DEFAULT_FILES)}, or name a file with -f"
        )
    given = {**(environment.variables if use_environment else {}), **(variables or {})}
    surroundings = Surroundings(
        variables=given,
        compose_variables={**_env_file(options, given), **given},
        platform=str(environment.platform),
        now=environment.now,
        home=str(environment.home),
        command_context=command_context,
        relative=relative_paths,
        read_file=lambda name: remote.sources([name], ())[0] if remote is not None else _read(name, options, None),
    )
    return read_definitions(sources, surroundings, options.reporter.warning)


def _defaults(options: Options) -> Iterator[SourceFile]:
    for name in DEFAULT_FILES:
        if options.environment.path(name).is_file():
            yield _read(name, options, None)


def _read(name: str, options: Options, stdin: BinaryIO | None) -> SourceFile:
    if name == "-":
        if stdin is None:
            raise UsageError("nothing was given on standard input")
        raw = stdin.read(FILE_LIMIT + 1)
    else:
        name = name.removeprefix("cwd://")
        try:
            with options.environment.path(name).open("rb") as stream:
                raw = stream.read(FILE_LIMIT + 1)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise UsageError(f"cannot read {name}: {reason}", hint="a bake file is named with -f FILE") from error
    if len(raw) > FILE_LIMIT:
        raise UsageError(f"{name} has more than {FILE_LIMIT} bytes", hint="is it really a bake file?")
    return decode_source(name, raw)


def _env_file(options: Options, given: Mapping[str, str]) -> Mapping[str, str]:
    path = options.environment.path(".env")
    try:
        raw = path.read_bytes() if path.is_file() else b""
    except OSError as error:
        raise UsageError(f"cannot read .env: {(error.strerror or str(error)).lower()}") from error
    return parse_env_file(decode_source(".env", raw), given)


def bake(requests: Mapping[str, BakeRequest], *, options: Options | None = None) -> dict[str, BuildResult]:
    """Builds every target, names it in the store and writes its outputs; returns the results by target.

    If one target asks for newer base images, all get them: they share what the registry said.

    Raises:
        PyociError: see `pyoci.errors`. Targets that were finished before stay.
    """
    options = options or Options()
    results: dict[str, BuildResult] = {}
    pull = any(request.build.pull for request in requests.values())
    with opened(options, pull=pull) as services:
        for names in _rounds(requests):
            results |= _built({name: _with_links(requests[name], results) for name in names}, services)
    return results


def _rounds(requests: Mapping[str, BakeRequest]) -> list[list[str]]:
    """Targets in rounds, each as late as it may be: what nobody waits for is built together at the end."""
    users: dict[str, list[str]] = {name: [] for name in requests}
    for name, request in requests.items():
        for other in request.links.values():
            if other not in users:
                raise UsageError(f'target {name} takes "{other}" as a context, which is not built with it')
            users[other].append(name)
    rounds: list[list[str]] = []
    waiting = dict(users)
    while waiting:
        last = [name for name, others in waiting.items() if not any(other in waiting for other in others)]
        if not last:
            raise UsageError(f"targets are contexts of each other: {', '.join(sorted(waiting))}")
        rounds.insert(0, last)
        for name in last:
            del waiting[name]
    return rounds


def _with_links(request: BakeRequest, results: Mapping[str, BuildResult]) -> BakeRequest:
    """The request with results of other targets as images of the store, by digest."""
    if not request.links:
        return request
    made = {context: f"{BAKED}{target.lower()}@{results[target].digest}" for context, target in request.links.items()}
    build = replace(request.build, build_contexts={**request.build.build_contexts, **made})
    return replace(request, build=build)


def _built(requests: Mapping[str, BakeRequest], services: Services) -> dict[str, BuildResult]:
    with ExitStack() as stack:
        parts = {name: stack.enter_context(prepared(one.build, services)) for name, one in requests.items()}
        jobs: list[Job] = []
        for name, part in parts.items():
            part.secrets.check()
            check_outputs(part.request, part.platforms)
            if part.request.provenance or part.request.sbom:
                from pyoci.api.attest import check_attested

                check_attested(part.request)
            cache_sources(part.request)
            written = (*pushed_names(part.request), *written_references(part.request))
            with push_permission(written, services) as permission:
                jobs.append(_job(name, part, services))
                permission.wait()
        plans = [plan for job in jobs for plan in job.plans]
        places = Places(services)
        searches = {name: LeakSearch(part.request, services, part.secrets) for name, part in parts.items()}
        early = {
            name: stack.enter_context(early_push(part, plans, services, places, searches[name]))
            for name, part in parts.items()
        }
        jobs = [replace(job, services=replace(job.services, listener=early[job.name])) for job in jobs]
        built = build_together(jobs, parallel=max(one.build.jobs for one in requests.values()) or DEFAULT_JOBS)
        return {
            name: finish(parts[name], images, services, searches[name], early[name])
            for (name, images) in zip(requests, built, strict=True)
        }


def _job(name: str, parts: Prepared, shared: Services) -> Job:
    services = parts.build_services()
    plans = plan_images(parts.dockerfile, parts.plan_options, services)
    parts.report_checks()
    names = {old: _context_name(old, parts) for old in services.contexts}
    parts.context_names.update((new, old) for old, new in names.items())
    contexts = LazyContexts({new: partial(services.contexts.__getitem__, old) for old, new in names.items()})
    return Job(
        name,
        parts.request,
        plans,
        replace(services, contexts=contexts),
        names,
        limits=parts.limits,
        epoch=parts.epoch,
        imported=imported_steps(parts, shared),
    )


def _context_name(name: str, parts: Prepared) -> str:
    """A name that two targets share if, and only if, they read the same files by it."""
    environment = parts.services.environment
    if name != ".":
        value = parts.bases.contexts[name]
        path = environment.path(value)
        return structural_digest(["named", str(path.resolve()) if path.exists() else value])
    request = parts.request
    path = environment.path(request.context)
    if not path.is_dir():
        keep = request.build_args.get("BUILDKIT_CONTEXT_KEEP_GIT_DIR", "")
        return structural_digest(["main", str(request.context), keep, bool(given_epoch(request, environment))])
    ignore: Path | None = None
    if str(request.file) not in ("", "-"):
        file = environment.path(request.file)
        ignore = file.with_name(file.name + ".dockerignore")
    own = str(ignore.resolve()) if ignore is not None and ignore.exists() else ""
    return structural_digest(["directory", str(path.resolve()), own])
