"""RUN to a step: the command line, its environment, its mounts, what history says."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from pyoci.build.config_effects import joined_path, with_shell
from pyoci.build.graph import VertexID
from pyoci.build.steps import (
    BindMountStep,
    CacheMountStep,
    InlineFile,
    MountStep,
    RunStep,
    SecretMountStep,
    SshMountStep,
    TmpfsMountStep,
)
from pyoci.dockerfile.expand import expand
from pyoci.dockerfile.instructions import Run, run_command
from pyoci.dockerfile.mounts import (
    BindMount,
    CacheMount,
    MountOptions,
    SecretMount,
    SshMount,
    TmpfsMount,
    expanded_options,
    mount_of,
)
from pyoci.errors import DockerfileError
from pyoci.location import Location

if TYPE_CHECKING:
    from pyoci.build.stage_plan import StagePlanner

__all__ = ["plan_run"]


def plan_run(planner: StagePlanner, instruction: Run) -> None:
    """Adds the step and history of a RUN.

    Raises:
        DockerfileError: located.
    """
    command = run_command(instruction)
    args = command.arguments
    if command.form == "shell":
        args = with_shell(planner.config, " ".join(args), planner.platform.os)
    if not args or not args[0]:
        raise DockerfileError(
            "RUN has no command", hint='write RUN ["program", "argument"]', location=instruction.location
        )
    if instruction.devices:
        raise DockerfileError(
            "RUN --device is not supported",
            hint="no device of this machine reaches a build step; leave the flag out",
            location=instruction.location,
        )
    _check_entitlements(planner, instruction)
    inputs: list[VertexID] = []
    mounts = tuple(_mount(planner, options, inputs) for options in instruction.mounts)
    environment = planner.variables.environment
    step = RunStep(
        args=args,
        env=tuple(f"{name}={value}" for name, value in environment.items()),
        cwd=joined_path("/", planner.config.working_dir or "/"),
        user=planner.config.user,
        mounts=mounts,
        files=(InlineFile(command.script.name, command.script.content),) if command.script else (),
        network="none" if _network(planner, instruction) == "none" else "host",
        insecure=instruction.security == "insecure",
        hostname=planner.options.hostname,
    )
    planner.add_step(step, tuple(inputs), instruction, instruction.line)
    text = "RUN " + planner.variables.history_prefix() + " ".join(args)
    planner.add_history(text + " # buildkit", has_layer=True)


def _network(planner: StagePlanner, instruction: Run) -> str:
    return planner.options.network if instruction.network == "default" else instruction.network


def _check_entitlements(planner: StagePlanner, instruction: Run) -> None:
    if instruction.security == "insecure" and not planner.options.allow_insecure:
        raise DockerfileError(
            "RUN --security=insecure is not allowed",
            hint="it gives the step every capability; if you trust it, build with --allow security.insecure",
            location=instruction.location,
        )


def _mount(planner: StagePlanner, options: MountOptions, inputs: list[VertexID]) -> MountStep:
    def expanded(value: str, location: Location) -> str:
        return expand(value, planner.lookup, planner.escape, location=location)

    mount = mount_of(expanded_options(options, expanded))
    match mount:
        case BindMount():
            target = _target(planner, mount.target, options)
            position = _input(planner, mount.from_, mount.source, options, inputs)
            return BindMountStep(target, position, _clean(mount.source), not mount.read_only)
        case CacheMount():
            origin = mount.from_ if mount.from_ and mount.from_ != "scratch" else None
            return CacheMountStep(
                target=_target(planner, mount.target, options),
                id=f"{planner.options.cache_namespace}/{mount.id}",
                sharing=mount.sharing,
                read_only=mount.read_only,
                input=_seed(planner, origin, mount.source, options, inputs) if origin else None,
                mode=0o755 if mount.mode is None else mount.mode,
                uid=mount.uid or 0,
                gid=mount.gid or 0,
            )
        case TmpfsMount():
            return TmpfsMountStep(_target(planner, mount.target, options), mount.size_bytes)
        case SecretMount():
            target = joined_path(planner.config.working_dir or "/", mount.target) if mount.target else ""
            return SecretMountStep(mount.id, target, mount.env or "", mount.required, mount.mode, mount.uid, mount.gid)
        case SshMount():
            target = joined_path("/", mount.target) if mount.target else ""
            return SshMountStep(mount.id, target, mount.required, mount.mode, mount.uid, mount.gid)
        case _:
            assert_never(mount)


def _target(planner: StagePlanner, target: str, options: MountOptions) -> str:
    path = joined_path(planner.config.working_dir or "/", target)
    if path == "/":
        raise DockerfileError(
            f'invalid mount target "{target}"',
            hint="a mount cannot cover the whole root; give it a target, or set a WORKDIR first",
            location=options.location,
        )
    return path


def _clean(path: str) -> str:
    return joined_path("/", path).removeprefix("/")


def _seed(planner: StagePlanner, name: str, source: str, options: MountOptions, inputs: list[VertexID]) -> int:
    """The position among the vertex's inputs of what an empty cache begins with: a directory of a stage, by itself."""
    origin = planner.stages.source(name, planner.stage, options.location, planner.platform)
    found = planner.stages.directory_as_filesystem(origin.vertex, _clean(source) or ".", options.location)
    if found not in inputs:
        inputs.append(found)
    return 1 + inputs.index(found)


def _input(planner: StagePlanner, name: str | None, source: str, options: MountOptions, inputs: list[VertexID]) -> int:
    """The position among the vertex's inputs of what a mount shows; files of a context become a file system first."""
    stages = planner.stages
    if name is None:
        found = stages.files_as_filesystem(".", _clean(source) or ".", options.location)
    else:
        origin = stages.source(name, planner.stage, options.location, planner.platform)
        found = origin.vertex
        if origin.is_files:
            found = stages.files_as_filesystem(origin.context, ".", options.location)
    if found not in inputs:
        inputs.append(found)
    return 1 + inputs.index(found)
