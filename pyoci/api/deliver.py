"""The outputs of a build: pushed, or written as an archive, a layout, a directory or a tar."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pyoci.api.services import Services
from pyoci.build.request import BuildRequest, Output
from pyoci.errors import ContentError, DigestMismatch, RegistryError, UsageError
from pyoci.reference import Reference, parse_reference

if TYPE_CHECKING:
    from pyoci.api.build import BuildResult
    from pyoci.build.builder import Built

__all__ = ["deliver", "output_stream", "pushed_names"]


def pushed_names(outputs: Sequence[Output], tags: tuple[Reference, ...]) -> tuple[Reference, ...]:
    """Every name that the outputs push to; none if nothing is pushed.

    Raises:
        UsageError: something is to be pushed and has no name, or its name is none.
    """
    return tuple(name for output in outputs if _is_pushed(output) for name in _push_names(output, tags))


def _is_pushed(output: Output) -> bool:
    return output.type == "registry" or (output.type == "image" and output.attributes.get("push", "") == "true")


def _push_names(output: Output, tags: tuple[Reference, ...]) -> tuple[Reference, ...]:
    names = _names(output, tags)
    if not names:
        raise UsageError(
            "tag is needed when pushing to registry", hint="give the image a name with -t REGISTRY/NAME:TAG"
        )
    return names


def deliver(request: BuildRequest, result: BuildResult, built: tuple[Built, ...], services: Services) -> None:
    """Writes every output of the request. `built` is looked at by outputs that are files of the image alone.

    Raises:
        UsageError: an output lacks a name or a place.
        RegistryError: a push was refused; the image stays in the store, and the hint says how to go on.
    """
    for output in request.outputs:
        names = _names(output, result.tags)
        match output.type:
            case "image":
                for name in names:
                    services.store.tags.set(name, result.descriptor)
                if _is_pushed(output):
                    _push(_push_names(output, result.tags), result, services)
            case "registry":
                _push(_push_names(output, result.tags), result, services)
            case "oci":
                _oci(output, names, result, services)
            case "docker":
                _docker(output, names, result, services)
            case "local" | "tar":
                _root_file_system(output, built, services)


def _names(output: Output, tags: tuple[Reference, ...]) -> tuple[Reference, ...]:
    text = output.attributes.get("name", "")
    return tuple(parse_reference(name) for name in text.split(",")) if text else tags


def _push(names: tuple[Reference, ...], result: BuildResult, services: Services) -> None:
    from pyoci.api.transfer import push_descriptor

    for name in names:
        try:
            push_descriptor(name, result.descriptor, services)
        except (RegistryError, DigestMismatch) as error:
            services.store.tags.set(name, result.descriptor)
            before = f"{error.hint}; then " if error.hint else ""
            error.hint = f"{before}go on with: pyoci push {name.familiar}"
            raise


def _oci(output: Output, names: tuple[Reference, ...], result: BuildResult, services: Services) -> None:
    from pyoci.export.oci import write_oci_archive, write_oci_layout
    from pyoci.export.roots import NamedRoot

    roots = [NamedRoot(result.descriptor, names)]
    content = services.resolver.content
    if output.attributes.get("tar", "true") == "false":
        write_oci_layout(roots, content, _directory(output, services), reporter=services.reporter)
        return
    with output_stream(output.destination, services) as stream:
        write_oci_archive(roots, content, stream, reporter=services.reporter)


def _docker(output: Output, names: tuple[Reference, ...], result: BuildResult, services: Services) -> None:
    from pyoci.export.docker_archive import write_docker_archive
    from pyoci.export.roots import NamedRoot

    if not output.destination:
        return  # what docker loads into its engine is in the store already
    roots = [NamedRoot(result.descriptor, names)]
    here = services.environment.platform
    with output_stream(output.destination, services) as stream:
        write_docker_archive(roots, services.resolver.content, stream, platform=here, reporter=services.reporter)


def _directory(output: Output, services: Services) -> Path:
    if not output.destination or output.destination == "-":
        raise UsageError(
            f"dest is required for {output.type} exporter", hint=f"write -o type={output.type},dest=DIRECTORY"
        )
    return services.environment.path(output.destination)


def _root_file_system(output: Output, built: tuple[Built, ...], services: Services) -> None:
    from pyoci.export.directory import write_root_directory
    from pyoci.export.rootfs import write_platform_tar, write_root_tar

    scratch, trees = services.store.root / "tmp", services.trees
    if output.type == "local":
        directory = _directory(output, services)
        for one in built:
            below = directory / _folder(one) if len(built) > 1 else directory
            write_root_directory(
                trees.of(one.filesystem),
                below,
                scratch=scratch,
                reporter=services.reporter,
                cancelled=services.cancelled,
            )
        return
    with output_stream(output.destination, services) as stream:
        if len(built) > 1:
            write_platform_tar({_folder(one): trees.of(one.filesystem) for one in built}, stream, scratch=scratch)
        else:
            write_root_tar(trees.of(built[0].filesystem), stream, scratch=scratch)


def _folder(one: Built) -> str:
    """Where the files of one platform of several are, as docker names it: `linux_arm_v7`."""
    return str(one.plan.platform).replace("/", "_")


@contextmanager
def output_stream(destination: str, services: Services) -> Iterator[BinaryIO]:
    """A file that appears whole under its name, or standard output for `-`.

    Raises:
        UsageError: there is no destination.
        ContentError: it cannot be written.
    """
    if not destination:
        raise UsageError("dest is required", hint="write -o type=TYPE,dest=FILE, or dest=- for standard output")
    if destination == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = services.environment.path(destination)
    scratch = path.with_name(f".{path.name}.partial")
    try:
        with scratch.open("wb") as stream:
            yield stream
        scratch.replace(path)
    except OSError as error:
        raise ContentError(f"cannot write {path}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            scratch.unlink()
