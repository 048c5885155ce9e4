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
from pyoci.reference import Reference

if TYPE_CHECKING:
    from pyoci.api.attest import Attester
    from pyoci.api.build import BuildResult
    from pyoci.api.early_push import EarlyPush
    from pyoci.api.output_options import FilesOutput, ImageOutput
    from pyoci.build.builder import Built
    from pyoci.image import Descriptor
    from pyoci.layer.tree import Tree

__all__ = ["deliver", "output_stream"]


def deliver(
    request: BuildRequest,
    result: BuildResult,
    built: tuple[Built, ...],
    services: Services,
    *,
    attest: Attester | None = None,
    is_pushed: bool = False,
    early: EarlyPush | None = None,
) -> None:
    """Writes every output of the request; `attest` says what is said of images beside them, `is_pushed` that nothing
    has to be sent to a registry. `early` has brought some of the blobs there, and knows what went wrong with others.

    Raises:
        UsageError: an output lacks a place.
        RegistryError: a push was refused; the image stays in the store, and the hint says how to go on.
    """
    if not request.outputs:
        return
    from pyoci.api.output_options import files_output, image_output, main_form

    roots = {main_form(request): result.descriptor}
    for output in request.outputs:
        if output.type in ("local", "tar"):
            wanted_files = files_output(output, request, platforms=len(built))
            trees = [_tree(one, wanted_files, attest, services) for one in built]
            _files(output, wanted_files, built, trees, services)
            continue
        wanted = image_output(output, request)
        if wanted.form not in roots:
            from pyoci.build.forms import in_form

            content = services.resolver.content
            roots[wanted.form] = in_form(built, wanted.form, services.store, content, attest=attest).root
        root = roots[wanted.form]
        if output.type == "oci":
            _oci(output, wanted, root, services)
        elif output.type == "docker":
            _docker(output, wanted, root, services)
        else:
            _named(output, wanted, root, services)
            if wanted.push and is_pushed:
                services.reporter.transfer_started(root.digest, "push", root.size)
                services.reporter.transfer_done(root.digest, "exists")
            elif wanted.push:
                _push(wanted.names, root, services, early)


def _named(output: Output, wanted: ImageOutput, root: Descriptor, services: Services) -> None:
    if output.type == "image":
        for name in wanted.names:
            services.store.tags.set(name if name.tag else name.with_tag("latest"), root)


def _push(names: tuple[Reference, ...], root: Descriptor, services: Services, early: EarlyPush | None) -> None:
    from pyoci.api.transfer import push_descriptor

    for name in names:
        try:
            push_descriptor(name, root, services, early=early)
        except (RegistryError, DigestMismatch) as error:
            kept = name if name.tag else name.with_tag("latest")
            services.store.tags.set(kept, root)
            before = f"{error.hint}; then " if error.hint else ""
            error.hint = f"{before}go on with: pyoci push {kept.familiar}"
            raise


def _oci(output: Output, wanted: ImageOutput, root: Descriptor, services: Services) -> None:
    from pyoci.export.oci import write_oci_archive, write_oci_layout
    from pyoci.export.roots import NamedRoot

    roots = [NamedRoot(root, wanted.names)]
    content = services.resolver.content
    if not wanted.as_tar:
        write_oci_layout(
            roots, content, _directory(output, services), limits=services.limits, reporter=services.reporter
        )
        return
    with output_stream(output.destination, services) as stream:
        write_oci_archive(roots, content, stream, limits=services.limits, reporter=services.reporter)


def _docker(output: Output, wanted: ImageOutput, root: Descriptor, services: Services) -> None:
    from pyoci.export.docker_archive import write_docker_archive
    from pyoci.export.roots import NamedRoot

    if not output.destination:
        return  # what docker loads into its engine is in the store already
    roots = [NamedRoot(root, wanted.names)]
    here = services.environment.platform
    with output_stream(output.destination, services) as stream:
        write_docker_archive(
            roots,
            services.resolver.content,
            stream,
            platform=here,
            limits=services.limits,
            reporter=services.reporter,
        )


def _directory(output: Output, services: Services) -> Path:
    if not output.destination or output.destination == "-":
        raise UsageError(
            f"dest is required for {output.type} exporter", hint=f"write -o type={output.type},dest=DIRECTORY"
        )
    return services.environment.path(output.destination)


def _tree(one: Built, wanted: FilesOutput, attest: Attester | None, services: Services) -> Tree:
    """The files of one image, with what is said of them."""
    tree = services.trees.of(one.filesystem)
    if attest is None:
        return tree
    suffix = f".{_folder(one)}" if wanted.several and not wanted.split else ""
    return attest.beside(tree, one, prefix=wanted.attestation_prefix, suffix=suffix)


def _files(
    output: Output, wanted: FilesOutput, built: tuple[Built, ...], trees: Sequence[Tree], services: Services
) -> None:
    from pyoci.export.rootfs import write_platform_tar, write_root_tar

    if output.type == "local":
        _local(output, wanted, built, trees, services)
        return
    scratch = services.store.root / "tmp"
    with output_stream(output.destination, services) as stream:
        if wanted.split:
            named = {_folder(one): tree for one, tree in zip(built, trees, strict=True)}
            write_platform_tar(named, stream, scratch=scratch)
        else:
            write_root_tar(trees[0], stream, scratch=scratch)


def _local(
    output: Output, wanted: FilesOutput, built: tuple[Built, ...], trees: Sequence[Tree], services: Services
) -> None:
    from pyoci.export.directory import remove_others, write_root_directory

    directory = _directory(output, services)
    if len(built) > 1 and not wanted.split:
        _refuse_same_names(built, services)
    for one, tree in zip(built, trees, strict=True):
        write_root_directory(
            tree,
            directory / _folder(one) if wanted.split else directory,
            scratch=services.store.root / "tmp",
            delete=wanted.delete and (wanted.split or len(built) == 1),
            reporter=services.reporter,
            cancelled=services.cancelled,
        )
    if wanted.delete and wanted.split:
        remove_others(directory, {_folder(one) for one in built})


def _refuse_same_names(built: tuple[Built, ...], services: Services) -> None:
    """Of several platforms in one directory, none may replace a file of another."""
    from pyoci.layer.entry import Upsert
    from pyoci.layer.tree import flatten

    seen: dict[str, Built] = {}
    for one in built:
        for change in flatten(services.trees.of(one.filesystem)):
            if isinstance(change, Upsert) and change.entry.type != "dir":
                other = seen.setdefault(change.entry.path, one)
                if other is not one:
                    raise UsageError(
                        f"cannot overwrite {change.entry.path} from {other.plan.platform} with {one.plan.platform} "
                        "when split option is disabled",
                        hint="leave out platform-split=false",
                    )


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
