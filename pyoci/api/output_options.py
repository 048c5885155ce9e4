"""The attributes of `--output`, read: names and meanings are those of BuildKit's exporters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pyoci.build.annotations import annotation_attributes, check_annotations, parse_annotations
from pyoci.build.form import Form
from pyoci.build.request import BuildRequest, Output
from pyoci.dockerfile.units import parse_boolean
from pyoci.errors import UsageError
from pyoci.image.media_types import Compression
from pyoci.platforms import Platform
from pyoci.reference import Reference, parse_reference
from pyoci.values import dataclass, replace

__all__ = [
    "FilesOutput",
    "ImageOutput",
    "check_attributes",
    "check_outputs",
    "files_output",
    "image_output",
    "insecure_hosts",
    "main_form",
    "pushed_names",
    "pushed_outputs",
]

_COMPRESSIONS: Mapping[str, Compression] = {"gzip": "gzip", "zstd": "zstd", "uncompressed": "none"}
_MULTI_PLATFORM = "BUILDKIT_MULTI_PLATFORM"
_IMAGES = ("image", "registry", "oci", "docker")
_PUSHED = {"push", "push-by-digest", "registry.insecure", "name-canonical", "unpack", "store"}
_OF_IMAGES = {
    *("name", "compression", "compression-level", "force-compression", "oci-mediatypes", "rewrite-timestamp"),
    *("prefer-nondist-layers", "oci-artifact"),
}
_KEYS: Mapping[str, set[str]] = {
    "image": _OF_IMAGES | _PUSHED,
    "registry": _OF_IMAGES | _PUSHED,
    "oci": _OF_IMAGES | {"tar"},
    "docker": _OF_IMAGES | {"tar"},
    "local": {"mode", "platform-split", "attestation-prefix"},
    "tar": {"platform-split", "attestation-prefix"},
}


@dataclass(frozen=True, slots=True)
class ImageOutput:
    """An output that has the image in it."""

    form: Form
    names: tuple[Reference, ...]
    """Without tags where it is pushed by digest."""
    push: bool = False
    insecure: bool = False
    """The registry may speak plain HTTP."""
    as_tar: bool = True


@dataclass(frozen=True, slots=True)
class FilesOutput:
    """An output that has the files of the image in it."""

    split: bool
    """A directory for each platform."""
    delete: bool
    """What else is in the directory goes."""
    several: bool = False
    """Files say which platform they are about, where they could be about several."""
    attestation_prefix: str = ""


def check_attributes(output: Output) -> None:
    """Refuses attributes that the type of the output does not have, and values that mean nothing.

    Raises:
        UsageError: one of them.
    """
    if output.type in _IMAGES:
        _, others = annotation_attributes(output.attributes)
        _refuse_unknown(output, others)
        _form(output, others)
    else:
        files_output(output, BuildRequest(), platforms=1)


def check_outputs(request: BuildRequest, platforms: Sequence[Platform]) -> None:
    """Refuses what cannot be written as it is asked for, before anything is built.

    Raises:
        UsageError: an attribute that is not there, or a value that means nothing.
    """
    common = parse_annotations(request.annotations)
    if not any(output.type in _IMAGES for output in request.outputs):
        check_annotations(common, platforms, docker_types=False, indexed=_is_indexed(request))
    for output in request.outputs:
        if output.type not in _IMAGES:
            files_output(output, request, platforms=len(platforms))
            continue
        form = image_output(output, request).form
        check_annotations(form.annotations, platforms, docker_types=form.docker_types, indexed=form.indexed)


def main_form(request: BuildRequest) -> Form:
    """The form of the image that keeps the build's names: that of the first output that has one."""
    for output in request.outputs:
        if output.type in _IMAGES:
            return image_output(output, request).form
    return Form(annotations=parse_annotations(request.annotations), indexed=_is_indexed(request))


def _is_indexed(request: BuildRequest) -> bool:
    """Whether a single platform is treated as several are."""
    text = request.build_args.get(_MULTI_PLATFORM, "false")
    try:
        return not text or parse_boolean(text)
    except ValueError:
        raise UsageError(f'{_MULTI_PLATFORM}={text}: "{text}" is neither true nor false') from None


def image_output(output: Output, request: BuildRequest) -> ImageOutput:
    """What an output of an image is to be.

    Raises:
        UsageError: see `check_outputs`.
    """
    own, others = annotation_attributes(output.attributes)
    _refuse_unknown(output, others)
    form = _form(output, others)
    annotations = (*parse_annotations(request.annotations), *own)
    by_digest = _truth(output, others, "push-by-digest")
    push = output.type == "registry" or _truth(output, others, "push")
    names = _names(others.get("name", ""), request.tags, by_digest=by_digest)
    if push and not names:
        raise UsageError(
            "tag is needed when pushing to registry", hint="give the image a name with -t REGISTRY/NAME:TAG"
        )
    as_tar = _truth(output, others, "tar", default=True)
    if output.type == "docker" and not as_tar:
        raise UsageError("tar=false of a docker output: it is an archive", hint="type=oci,tar=false writes a layout")
    return ImageOutput(
        replace(form, annotations=annotations, indexed=_is_indexed(request)),
        names,
        push,
        _truth(output, others, "registry.insecure"),
        as_tar,
    )


def _refuse_unknown(output: Output, attributes: Mapping[str, str]) -> None:
    keys = _KEYS[output.type]
    unknown = sorted(set(attributes) - keys)
    if unknown:
        known = sorted(keys | ({"annotation.KEY"} if output.type in _IMAGES else set()) | {"dest"})
        raise UsageError(
            f'unknown key "{unknown[0]}" for output type {output.type}', hint=f"the keys are {', '.join(known)}"
        )
    for key, reason in {
        "prefer-nondist-layers": "layers keep the media type that says whether they may be passed on",
        "oci-artifact": "it is about attestations, and none are made",
    }.items():
        if key in attributes:
            raise UsageError(f"{key} of output type {output.type} is not there: {reason}", hint="leave it out")
    for key, wanted, reason in (
        ("rewrite-timestamp", True, "times are those of SOURCE_DATE_EPOCH in every image that pyoci builds"),
        ("store", True, "the image is always in the store"),
        ("unpack", False, "there is no engine to unpack it for"),
    ):
        if key in attributes and _truth(output, attributes, key) != wanted:
            raise UsageError(f"{key}={attributes[key]} of output type {output.type}: {reason}", hint="leave it out")


def _truth(output: Output, attributes: Mapping[str, str], key: str, *, default: bool = False) -> bool:
    text = attributes.get(key)
    if text is None:
        return default
    try:
        return not text or parse_boolean(text)
    except ValueError:
        raise UsageError(f'{key}={text} of output type {output.type}: "{text}" is neither true nor false') from None


def _form(output: Output, attributes: Mapping[str, str]) -> Form:
    name = attributes.get("compression", "gzip")
    if name == "estargz":
        raise UsageError(
            "compression=estargz: layers with an index of their files for lazy pulling are not made",
            hint=f"the compressions are {', '.join(_COMPRESSIONS)}",
        )
    if name not in _COMPRESSIONS:
        raise UsageError(
            f'unsupported layer compression type "{name}"', hint=f"the compressions are {', '.join(_COMPRESSIONS)}"
        )
    return Form(
        _COMPRESSIONS[name],
        _level(_COMPRESSIONS[name], name, attributes.get("compression-level")),
        _truth(output, attributes, "force-compression"),
        not _truth(output, attributes, "oci-mediatypes", default=True),
    )


def _level(compression: Compression, name: str, text: str | None) -> int | None:
    if text is None:
        return None
    from pyoci.layer.compressor import LEVELS

    levels = LEVELS[compression]
    hint = f"{name} has levels {levels[0]} to {levels[-1]}" if levels else "there is nothing to compress: leave it out"
    try:
        level = int(text)
    except ValueError:
        raise UsageError(f'compression-level={text}: "{text}" is no number', hint=hint) from None
    if level not in levels:
        raise UsageError(f"compression-level={text} does not exist for {name}", hint=hint)
    return level


def _names(text: str, tags: Iterable[str], *, by_digest: bool) -> tuple[Reference, ...]:
    names = text.split(",") if text else tags
    found = tuple(parse_reference(name, default_tag=None if by_digest else "latest") for name in names)
    for name in found:
        if by_digest and name.tag is not None:
            raise UsageError(f"can't push tagged ref {name} by digest", hint=f"leave the tag out: {name.familiar_name}")
    return found


def files_output(output: Output, request: BuildRequest, *, platforms: int) -> FilesOutput:
    """What an output of files is to be.

    Raises:
        UsageError: see `check_outputs`.
    """
    attributes = output.attributes
    _refuse_unknown(output, attributes)
    mode = attributes.get("mode", "").strip().lower() or "copy"
    if mode not in ("copy", "delete"):
        raise UsageError(f'invalid local exporter mode "{mode}"', hint="the modes are copy and delete")
    split = _truth(output, attributes, "platform-split", default=platforms > 1 or _is_indexed(request))
    if output.type == "tar" and platforms > 1 and not split:
        raise UsageError(
            "platform-split=false of output type tar: files of several platforms would have the same names",
            hint="build for one platform, or write to a directory",
        )
    prefix = attributes.get("attestation-prefix", "")
    if "/" in prefix or "\0" in prefix:
        raise UsageError(f'attestation-prefix={prefix}: it is the beginning of a file name, and has no "/"')
    return FilesOutput(split, mode == "delete", platforms > 1 or _is_indexed(request), prefix)


def pushed_names(request: BuildRequest) -> tuple[Reference, ...]:
    """Every name that the outputs push to; none if nothing is pushed.

    Raises:
        UsageError: something is to be pushed and has no name, or its name is none.
    """
    return tuple(name for output in pushed_outputs(request) for name in output.names)


def pushed_outputs(request: BuildRequest) -> tuple[ImageOutput, ...]:
    """The outputs that push the image.

    Raises:
        UsageError: as `pushed_names`.
    """
    outputs = (image_output(output, request) for output in request.outputs if output.type in _IMAGES)
    return tuple(output for output in outputs if output.push)


def insecure_hosts(request: BuildRequest) -> tuple[str, ...]:
    """Registries that an output with `registry.insecure` pushes to."""
    outputs = [image_output(output, request) for output in request.outputs if output.type in _IMAGES]
    return tuple(name.registry for output in outputs if output.insecure for name in output.names)
