"""The attributes of `--cache-from` and `--cache-to`, read: names and meanings are those of BuildKit's backends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pyoci.build.request import BuildRequest, CachePlace
from pyoci.dockerfile.units import parse_boolean
from pyoci.errors import UsageError
from pyoci.reference import Reference, parse_reference
from pyoci.values import dataclass, replace

__all__ = ["CacheFrom", "CacheTo", "cache_sources", "cache_targets", "insecure_caches", "written_references"]

_INLINE_ARGUMENT = "BUILDKIT_INLINE_CACHE"
_ELSEWHERE = frozenset({"gha", "s3", "azblob"})
"""What other engines have. Not to find a cache there is no error; not to put one there is."""
_LAYERS = {"compression", "compression-level", "force-compression"}
_FROM = {"registry": {"ref", "registry.insecure"}, "local": {"src", "tag", "digest"}}
_TO = {
    "registry": {"ref", "mode", "ignore-error", "image-manifest", "oci-mediatypes", "registry.insecure", *_LAYERS},
    "local": {"dest", "tag", "mode", "ignore-error", "image-manifest", "oci-mediatypes", "reset", *_LAYERS},
    "inline": set[str](),
}


@dataclass(frozen=True, slots=True)
class CacheFrom:
    """One place to import from: a registry's, if there is a reference, else a directory."""

    reference: Reference | None = None
    directory: str = ""
    wanted: str = "latest"
    """Tag in the directory, or `@digest`."""
    insecure: bool = False
    unknown: str = ""
    """A type of cache that other engines have."""


@dataclass(frozen=True, slots=True)
class CacheTo:
    """One place to export to: a registry's, a directory, or with neither the image itself."""

    reference: Reference | None = None
    directory: str = ""
    tag: str = "latest"
    whole: bool = False
    """Builder stages too (`mode=max`)."""
    ignore_error: bool = False
    reset: bool = False
    """What else is in the directory goes."""
    insecure: bool = False

    @property
    def is_inline(self) -> bool:
        return self.reference is None and not self.directory


def cache_sources(request: BuildRequest) -> tuple[CacheFrom, ...]:
    """Where a build looks for steps, in that order.

    Raises:
        UsageError: a type or attribute that is not there, or one that is missing.
    """
    return tuple(_source(place) for place in request.cache_from)


def _source(place: CachePlace) -> CacheFrom:
    what = f"--cache-from type={place.type}"
    if place.type in _ELSEWHERE:
        return CacheFrom(unknown=f"type={place.type}")
    attributes = _known(place, _FROM, what)
    if place.type == "registry":
        return CacheFrom(_reference(attributes, what), insecure=_truth(attributes, "registry.insecure", what))
    source = attributes.get("src", "")
    if not source:
        raise UsageError("local cache importer requires src", hint="write --cache-from type=local,src=DIRECTORY")
    digest = attributes.get("digest", "")
    return CacheFrom(directory=source, wanted=f"@{digest}" if digest else attributes.get("tag", "latest"))


def cache_targets(request: BuildRequest) -> tuple[CacheTo, ...]:
    """Where a build puts what its steps added; the argument BUILDKIT_INLINE_CACHE asks for the inline one too.

    Raises:
        UsageError: a type or attribute that is not there, or one that is missing.
    """
    places = list(request.cache_to)
    asked = request.build_args.get(_INLINE_ARGUMENT)
    if asked is not None and _truth({_INLINE_ARGUMENT: asked}, _INLINE_ARGUMENT, "build argument"):
        places.append(CachePlace("inline"))
    return tuple(dict.fromkeys(_target(place) for place in places))


def _target(place: CachePlace) -> CacheTo:
    what = f"--cache-to type={place.type}"
    attributes = _known(place, _TO, what)
    for key, wanted, reason in (
        ("image-manifest", True, "a cache is always written as an image manifest"),
        ("oci-mediatypes", True, "a cache is always written with OCI's media types"),
        ("force-compression", False, "layers go as they are in the store"),
    ):
        if key in attributes and _truth(attributes, key, what) != wanted:
            raise UsageError(f"{what}: {key}={attributes[key]}: {reason}", hint="leave it out")
    if attributes.get("compression", "gzip") != "gzip" or "compression-level" in attributes:
        raise UsageError(f"{what}: layers of a cache go as they are in the store, with gzip", hint="leave it out")
    mode = attributes.get("mode", "min")
    if mode not in ("min", "max"):
        raise UsageError(f'{what}: unknown mode "{mode}"', hint="the modes are min and max")
    common = CacheTo(whole=mode == "max", ignore_error=_truth(attributes, "ignore-error", what))
    if place.type == "registry":
        insecure = _truth(attributes, "registry.insecure", what)
        return replace(common, reference=_reference(attributes, what), insecure=insecure)
    if place.type == "inline":
        return common
    directory = attributes.get("dest", "")
    if not directory:
        raise UsageError("local cache exporter requires dest", hint="write --cache-to type=local,dest=DIRECTORY")
    tag, reset = attributes.get("tag", "latest"), _truth(attributes, "reset", what)
    return replace(common, directory=directory, tag=tag, reset=reset)


def _known(place: CachePlace, keys: Mapping[str, set[str]], what: str) -> Mapping[str, str]:
    if place.type not in keys:
        hint = (
            f"the types are {', '.join(keys)}" if place.type != "inline" else "name the image: type=registry,ref=IMAGE"
        )
        raise UsageError(f"{what}: there is no such cache", hint=hint)
    unknown = sorted(set(place.attributes) - keys[place.type])
    if unknown:
        listed = ", ".join(sorted(keys[place.type])) or "none"
        raise UsageError(f'{what}: unknown key "{unknown[0]}"', hint=f"its keys: {listed}")
    return place.attributes


def _reference(attributes: Mapping[str, str], what: str) -> Reference:
    name = attributes.get("ref", "")
    if not name:
        raise UsageError(f"{what} requires ref", hint=f"write {what},ref=REGISTRY/NAME:TAG")
    return parse_reference(name)


def _truth(attributes: Mapping[str, str], key: str, what: str) -> bool:
    text = attributes.get(key, "false")
    try:
        return not text or parse_boolean(text)
    except ValueError:
        raise UsageError(f'{what}: {key}={text}: "{text}" is neither true nor false') from None


def written_references(request: BuildRequest) -> tuple[Reference, ...]:
    """Repositories that a cache must be written to, or the build fails."""
    return tuple(one.reference for one in cache_targets(request) if one.reference and not one.ignore_error)


def insecure_caches(request: BuildRequest) -> tuple[str, ...]:
    """Registries that may speak plain HTTP because a cache in them says so."""
    places: Iterable[CacheFrom | CacheTo] = (*cache_sources(request), *cache_targets(request))
    return tuple(one.reference.registry for one in places if one.insecure and one.reference)
