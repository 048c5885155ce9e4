"""The front door: everything that can be told about an image without running it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pyoci.image.config import ContainerConfig
from pyoci.layer.tree import Tree
from pyoci.location import Location
from pyoci.platforms import Platform, normalized
from pyoci.preflight.accounts import ROOT_ACCOUNT, Account, UnknownName, find_account
from pyoci.preflight.commands import command_findings, healthcheck_findings, main_command
from pyoci.preflight.findings import Audience, Finding, finding, located_at
from pyoci.preflight.kubernetes import kubernetes_findings
from pyoci.preflight.reading import Files, Memory
from pyoci.preflight.subject import Subject
from pyoci.values import replace

__all__ = ["check_image"]


def check_image(
    config: ContainerConfig,
    platform: Platform,
    tree: Tree,
    *,
    locations: Mapping[str, Location] | None = None,
    skip: Iterable[str] = (),
    audience: Audience = "",
    spool: Path | None = None,
    memory: Memory | None = None,
) -> list[Finding]:
    """What is wrong with an image, or worth knowing of it: errors first.

    Nothing is unpacked and nothing runs. `locations` says where causes stand in a Dockerfile (`entrypoint`, `user`,
    `layer 3`, …), `skip` names rules that do not count. Large files pass through unnamed files in `spool`; what is
    learned of files is kept in `memory`. Cost: the programs, interpreters and libraries that the entrypoint needs are
    read once.

    Raises:
        LayerError, ContentError, RegistryError: a layer's bytes cannot be had.
    """
    files = Files(tree, spool=spool, memory=memory)
    env = dict(entry.partition("=")[::2] for entry in config.env)
    subject = Subject(config, normalized(platform), files, ROOT_ACCOUNT, env)
    skipped = frozenset(skip)
    found = [one for one in _findings(subject, audience) if one.rule not in skipped]
    return located_at(dict.fromkeys(found), locations or {})


def _findings(subject: Subject, audience: Audience) -> Iterator[Finding]:
    if subject.platform.os != "linux":
        return
    account: Account | None = None
    try:
        account = find_account(subject.files, subject.config.user)
    except UnknownName as error:
        yield _unknown(error)
    subject = replace(subject, account=account or ROOT_ACCOUNT)
    yield from _workdir(subject)
    command = main_command(subject.config)
    if command is None:
        yield finding(
            "NoCommand",
            "the image has neither an entrypoint nor a command: no command specified",
            "set ENTRYPOINT or CMD, or name a command whenever it is run",
            causes=("from",),
        )
    else:
        yield from command_findings(subject, command)
    yield from healthcheck_findings(subject)
    if audience == "kubernetes" and account is not None:
        yield from kubernetes_findings(subject)


def _unknown(error: UnknownName) -> Finding:
    rule = "UserUnknown" if error.kind == "user" else "GroupUnknown"
    if error.malformed:
        message = f'USER: the line of "{error.name}" in {error.file} has no valid numbers'
    else:
        message = f'USER: {error.kind} "{error.name}" is not in {error.file} of the image'
    add = "adduser" if error.kind == "user" else "addgroup"
    return finding(
        rule, message, f"add it with RUN {add}, or give its number", path=error.file, causes=("user", "from")
    )


def _workdir(subject: Subject) -> Iterator[Finding]:
    """A missing working directory is made by the runtime; one that is something else cannot be."""
    path = subject.workdir
    reached = replace(subject, account=ROOT_ACCOUNT).reach(path)
    is_file = reached.obstacle is None and reached.entry is not None and reached.entry.type != "dir"
    if is_file or reached.obstacle in ("not a directory", "loop"):
        what = "leads in a circle" if reached.obstacle == "loop" else f"is no directory, since {reached.path} is a file"
        yield finding(
            "WorkdirNotDirectory",
            f"the working directory {path} {what}",
            "name a directory in WORKDIR",
            path=reached.path,
            causes=(*([subject.layer_cause(reached.entry)] if reached.entry else []), "workdir", "from"),
        )
