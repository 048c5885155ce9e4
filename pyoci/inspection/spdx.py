"""What an image is made of, as an SPDX document: its packages, as far as package managers and Go programs tell.

Read are dpkg's and apk's databases, rpm's in SQLite, names of Python's metadata, and the build information of Go
programs. Files of no package are not listed. The document holds no time but the image's own and nothing random: equal
images have equal documents.
Spec: SPDX 2.3 (JSON); package URLs as the types of purl-spec.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from pyoci.digest import Digest, digest_hex
from pyoci.inspection.files_diff import file_changes
from pyoci.inspection.packages_diff import PackageChange, package_changes
from pyoci.inspection.paths import follow
from pyoci.layer.tree import Tree
from pyoci.preflight.reading import Files
from pyoci.values import dataclass

__all__ = ["Subject", "image_packages", "os_release", "spdx_document"]

_NONE = "NOASSERTION"
_OS_RELEASE_LIMIT = 1 << 16
_DOCUMENT = "SPDXRef-DOCUMENT"
_IMAGE = "SPDXRef-Image"


@dataclass(frozen=True, slots=True)
class Subject:
    """The image that a document is about."""

    name: str
    digest: Digest
    """Of its manifest."""
    url: str
    """Its package URL; empty for an image that has no name."""
    created: str
    """RFC 3339."""
    tool: str
    """`pyoci-VERSION`."""


def image_packages(files: Files, *, warn: Callable[[str], None] = lambda _: None) -> list[PackageChange]:
    """Every package of an image, as if it were all new. What cannot be read is told to `warn`.

    Raises:
        LayerError, ContentError, RegistryError: a layer's bytes cannot be had.
    """
    nothing = Tree()
    return package_changes(Files(nothing), files, list(file_changes(nothing, files.tree)), warn=warn)


def os_release(tree: Tree) -> dict[str, str]:
    """The variables of /etc/os-release; nothing where there is none (os-release(5))."""
    entry = follow(tree, "/etc/os-release").entry or follow(tree, "/usr/lib/os-release").entry
    if entry is None or entry.type != "file" or entry.size > _OS_RELEASE_LIMIT:
        return {}
    with tree.open(entry) as stream:
        text = stream.read().decode("utf-8", "replace")
    pairs = (line.strip().partition("=") for line in text.splitlines() if not line.lstrip().startswith("#"))
    return {name: value.strip("\"'") for name, equals, value in pairs if equals}


def spdx_document(subject: Subject, packages: Sequence[PackageChange], release: Mapping[str, str]) -> dict[str, Any]:
    """The document: the image, which contains the packages."""
    found: dict[tuple[str, str, str], set[str]] = {}
    for package in packages:
        for version in (package.after or "").split(",") if package.system == "rpm" else [package.after or ""]:
            places = found.setdefault((package.system, package.name, version.strip()), set())
            places.update([package.place] if package.place else [])
    listed = [
        _package(number, _url(system, name, version, release), _name(system, name), version, sorted(places))
        for number, ((system, name, version), places) in enumerate(sorted(found.items()))
    ]
    contains = [_relationship(_IMAGE, "CONTAINS", each["SPDXID"]) for each in listed]
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": _DOCUMENT,
        "name": subject.name,
        "documentNamespace": f"urn:pyoci:sbom:{subject.digest}",
        "creationInfo": {"created": subject.created, "creators": [f"Tool: {subject.tool}"]},
        "packages": [_image(subject), *listed],
        "relationships": [_relationship(_DOCUMENT, "DESCRIBES", _IMAGE), *contains],
    }


def _image(subject: Subject) -> dict[str, Any]:
    image = {
        "SPDXID": _IMAGE,
        "name": subject.name,
        "versionInfo": str(subject.digest),
        "downloadLocation": _NONE,
        "filesAnalyzed": False,
        "primaryPackagePurpose": "CONTAINER",
        "checksums": [{"algorithm": "SHA256", "checksumValue": digest_hex(subject.digest)}],
    }
    return image | ({"externalRefs": [_reference(subject.url)]} if subject.url else {})


def _package(number: int, url: str, name: str, version: str, places: Sequence[str]) -> dict[str, Any]:
    identifier = re.sub(r"[^A-Za-z0-9.-]+", "-", name).strip("-") or "package"
    package = {
        "SPDXID": f"SPDXRef-Package-{number}-{identifier}",
        "name": name,
        "versionInfo": version,
        "downloadLocation": _NONE,
        "filesAnalyzed": False,
        "licenseConcluded": _NONE,
        "licenseDeclared": _NONE,
        "copyrightText": _NONE,
        "externalRefs": [_reference(url)],
    }
    return package | ({"sourceInfo": f"installed in: {', '.join(places)}"} if places else {})


def _relationship(element: str, kind: str, related: str) -> dict[str, str]:
    return {"spdxElementId": element, "relationshipType": kind, "relatedSpdxElement": related}


def _reference(url: str) -> dict[str, str]:
    return {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": url}


def _name(system: str, name: str) -> str:
    """As its users call it: without the architecture that keeps dpkg's and rpm's apart."""
    match system:
        case "dpkg":
            return name.partition(":")[0]
        case "rpm":
            return name.rpartition(".")[0] or name
        case "go" if name == "go":
            return "stdlib"
        case _:
            return name


def _url(system: str, name: str, version: str, release: Mapping[str, str]) -> str:
    bare = quote(_name(system, name), safe="/")
    distribution = release.get("ID", "").lower()
    match system:
        case "dpkg":
            qualifiers = {"arch": name.partition(":")[2]}
            path = f"deb/{quote(distribution or 'debian')}/{bare}"
        case "apk":
            qualifiers, path = {}, f"apk/{quote(distribution or 'alpine')}/{bare}"
        case "rpm":
            epoch, colon, rest = version.partition(":")
            qualifiers = {"arch": name.rpartition(".")[2]} | ({"epoch": epoch} if colon else {})
            version = rest if colon else version
            path = f"rpm/{quote(distribution or 'redhat')}/{bare}"
        case "python":
            qualifiers, path = {}, f"pypi/{bare}"
        case _:
            qualifiers, path = {}, f"golang/{bare}"
            version = version.removeprefix("go") if name == "go" else version
    if system in ("dpkg", "apk", "rpm") and distribution and release.get("VERSION_ID"):
        qualifiers["distro"] = f"{distribution}-{release['VERSION_ID']}"
    exact = "" if not version or version.startswith("(") else f"@{quote(version, safe=':')}"  # (devel), (unknown)
    return f"pkg:{path}{exact}{_qualified(qualifiers)}"


def _qualified(qualifiers: Mapping[str, str]) -> str:
    pairs = list(_pairs(qualifiers))
    return "?" + "&".join(pairs) if pairs else ""


def _pairs(qualifiers: Mapping[str, str]) -> Iterator[str]:
    for key in sorted(qualifiers):
        if qualifiers[key]:
            yield f"{key}={quote(qualifiers[key], safe='.:')}"
