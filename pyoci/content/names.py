"""How the entries of a layout's index.json are named, and how a user's word finds one.

Two annotations do it: containerd's and docker's whole name, and image-spec's `ref.name`, which is a tag for
containerd and BuildKit and often a whole name for skopeo and podman (image-spec annotations.md, image-layout.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from pyoci.digest import Digest, parse_digest
from pyoci.errors import ContentError, ContentNotFound, UsageError
from pyoci.image.descriptor import Descriptor
from pyoci.reference import Reference, parse_reference
from pyoci.regex import regex
from pyoci.values import replace

__all__ = [
    "IMAGE_NAME",
    "REF_NAME",
    "find_root",
    "images_of",
    "names_of",
    "tag_subject",
    "tags_of",
    "with_name",
    "with_subject",
]

IMAGE_NAME = "io.containerd.image.name"
REF_NAME = "org.opencontainers.image.ref.name"
_SUBJECT = "io.containerd.manifest.subject"
"""What containerd puts on entries that are attached to another one, such as attestations, and no images themselves."""
_DIGEST_TAG = regex(r"(sha(?:256|512)-[0-9a-f]{64})\.[\w.-]+", re.ASCII)


def with_name(root: Descriptor, reference: Reference) -> Descriptor:
    """The descriptor as BuildKit writes it into an index.json for an image of that name."""
    annotations = {**root.annotations, IMAGE_NAME: str(reference), REF_NAME: reference.tag or str(reference)}
    return replace(root, annotations=annotations)


def with_subject(referrer: Descriptor, subject: Digest) -> Descriptor:
    """The descriptor as containerd writes it into an index.json for what is attached to another entry."""
    return replace(referrer, annotations={**referrer.annotations, _SUBJECT: subject})


def names_of(root: Descriptor) -> tuple[str, ...]:
    """The whole names that an entry has, as references read in full; none if it has but a tag, or nothing."""
    whole = root.annotations.get(IMAGE_NAME)
    tag_or_name = root.annotations.get(REF_NAME, "")
    if whole is None and ("/" in tag_or_name or ":" in tag_or_name):
        whole = tag_or_name
    if whole is None:
        return ()
    try:
        return (str(parse_reference(whole)),)
    except UsageError:
        return ()


def tag_subject(tag: str) -> str:
    """`sha256-<hex>` of `sha256-<hex>.sig` and all tags of that form, which attach something; empty for others."""
    match = _DIGEST_TAG.fullmatch(tag)
    return match[1] if match is not None else ""


def _tag_of(root: Descriptor) -> str:
    """The tag of an entry, by its whole name or alone; empty where it has none."""
    for name in names_of(root):
        return parse_reference(name).tag or ""
    return root.annotations.get(REF_NAME, "")


def tags_of(roots: Iterable[Descriptor]) -> dict[str, Descriptor]:
    """What each tag means among the entries, whatever the name before it; of two with one tag the first."""
    found: dict[str, Descriptor] = {}
    for root in roots:
        if tag := _tag_of(root):
            found.setdefault(tag, _unnamed(root))
    return found


def images_of(roots: Iterable[Descriptor]) -> list[tuple[tuple[str, ...], Descriptor]]:
    """The images with all their names, entries of one digest together; annotations that named them are taken off.

    What is attached to images, by a subject or by a tag, and artifacts without a name are none: oras lists all that a
    layout has. A config's type is no artifact's: crane, ko and kaniko give it to every image.
    """
    from pyoci.image.media_types import is_config

    found: dict[Digest, tuple[list[str], Descriptor]] = {}
    for root in roots:
        is_artifact = bool(root.artifact_type) and not is_config(root.artifact_type)
        if _SUBJECT in root.annotations or (is_artifact and not names_of(root)):
            continue
        if tag_subject(_tag_of(root)):
            continue
        names, _ = found.setdefault(root.digest, ([], root))
        names += [name for name in names_of(root) if name not in names]
    return [(tuple(names), _unnamed(root)) for names, root in found.values()]


def _unnamed(root: Descriptor) -> Descriptor:
    kept = {key: value for key, value in root.annotations.items() if key not in (IMAGE_NAME, REF_NAME, _SUBJECT)}
    return replace(root, annotations=kept)


def find_root(
    roots: Sequence[Descriptor], wanted: str, where: str, by_digest: Callable[[Digest], Descriptor | None]
) -> Descriptor:
    """The entry that `wanted` means: a name, a tag, `@sha256:…`, or nothing for `latest` or the only one.

    `by_digest` is asked for content that no entry names. The rules are BuildKit's for `oci-layout://`. As with
    `images_of`, the annotations that named the entry are taken off.

    Raises:
        ContentNotFound: no entry is meant. The hint lists what there is.
        UsageError: a digest that is none.
    """
    if wanted.startswith("@"):
        return _with_digest(roots, wanted[1:], where, by_digest)
    for annotation in (IMAGE_NAME, REF_NAME):
        for root in roots:
            if root.annotations.get(annotation) == (wanted or "latest"):
                return _unnamed(root)
    images = images_of(roots)
    if not wanted and len(images) == 1:
        return images[0][1]
    try:
        whole = str(parse_reference(wanted)) if wanted else ""
    except UsageError:
        whole = ""
    for root in roots:
        if whole in names_of(root):
            return _unnamed(root)
    known = [name for root in roots for name in (*names_of(root), root.annotations.get(REF_NAME, "")) if name]
    message = (
        f'"{wanted}" is not in {where}' if wanted else f"{where} holds {len(images)} images, none of them tagged latest"
    )
    raise ContentNotFound(
        message, hint=f"it has {', '.join(sorted(set(known))[:10])}" if known else "give @sha256:DIGEST"
    )


def _with_digest(
    roots: Sequence[Descriptor], text: str, where: str, by_digest: Callable[[Digest], Descriptor | None]
) -> Descriptor:
    try:
        digest = parse_digest(text)
    except ContentError as error:
        raise UsageError(error.message, hint=error.hint) from error
    for root in roots:
        if root.digest == digest:
            return _unnamed(root)
    found = by_digest(digest)
    if found is None:
        raise ContentNotFound(f"{digest} is not in {where}")
    return found
