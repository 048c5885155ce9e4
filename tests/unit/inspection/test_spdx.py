"""SPDX documents: what is in them of which package, and how it is named. Many names are purl-spec's own examples."""

from __future__ import annotations

from typing import Any

import pytest

from pyoci.digest import Digest
from pyoci.inspection.packages_diff import PackageChange, System
from pyoci.inspection.spdx import Subject, image_packages, os_release, spdx_document
from pyoci.layer.tree import Tree
from pyoci.preflight.reading import Files
from tests.unit.inspection.seen import tree_of

DIGEST = Digest("sha256:" + "ab" * 32)
SUBJECT = Subject("app:1", DIGEST, "pkg:docker/app@1?platform=linux%2Famd64", "2020-01-01T00:00:00Z", "pyoci-1.0")
DEBIAN = {"ID": "debian", "VERSION_ID": "12"}


def one(system: System, name: str, version: str, release: dict[str, str]) -> dict[str, Any]:
    document = spdx_document(SUBJECT, [PackageChange(system, name, None, version)], release)
    (package,) = document["packages"][1:]
    assert isinstance(package, dict)
    return package


@pytest.mark.parametrize(
    ("system", "name", "version", "release", "url"),
    [
        ("dpkg", "curl:amd64", "7.50.3-1", {}, "pkg:deb/debian/curl@7.50.3-1?arch=amd64"),
        (
            *("dpkg", "passwd:arm64", "1:4.13+dfsg1-1", DEBIAN),
            "pkg:deb/debian/passwd@1:4.13%2Bdfsg1-1?arch=arm64&distro=debian-12",
        ),
        ("apk", "musl", "1.2.5-r0", {"ID": "alpine"}, "pkg:apk/alpine/musl@1.2.5-r0"),
        (
            *("rpm", "curl.i386", "7.50.3-1.fc25", {"ID": "fedora", "VERSION_ID": "25"}),
            "pkg:rpm/fedora/curl@7.50.3-1.fc25?arch=i386&distro=fedora-25",
        ),
        ("rpm", "bind.x86_64", "32:9.16-1", {"ID": "rhel"}, "pkg:rpm/rhel/bind@9.16-1?arch=x86_64&epoch=32"),
        ("python", "django", "1.11.1", {}, "pkg:pypi/django@1.11.1"),
        ("go", "github.com/a/B", "v2.0.0+incompatible", {}, "pkg:golang/github.com/a/B@v2.0.0%2Bincompatible"),
        ("go", "example.com/app", "(devel)", {}, "pkg:golang/example.com/app"),
        ("go", "go", "go1.22.1", {}, "pkg:golang/stdlib@1.22.1"),
    ],
)
def test_package_urls(system: System, name: str, version: str, release: dict[str, str], url: str) -> None:
    package = one(system, name, version, release)
    assert package["externalRefs"] == [
        {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": url}
    ]
    assert package["filesAnalyzed"] is False


def test_names_are_those_of_users() -> None:
    assert one("dpkg", "libc6:amd64", "2", DEBIAN)["name"] == "libc6"
    assert one("rpm", "python3.11.x86_64", "3", {})["name"] == "python3.11"
    assert one("go", "go", "go1.22", {})["name"] == "stdlib"


def test_the_document_describes_the_image_which_contains_the_packages() -> None:
    packages = [
        PackageChange("rpm", "kernel.x86_64", None, "1-1, 2-1"),
        PackageChange("go", "example.com/lib", None, "v1.0.0", "/bin/b"),
        PackageChange("go", "example.com/lib", None, "v1.0.0", "/bin/a"),
    ]
    document = spdx_document(SUBJECT, packages, {})
    image, *others = document["packages"]
    assert (image["name"], image["versionInfo"], image["primaryPackagePurpose"]) == ("app:1", DIGEST, "CONTAINER")
    assert [(each["name"], each["versionInfo"]) for each in others] == [
        ("example.com/lib", "v1.0.0"),
        ("kernel", "1-1"),
        ("kernel", "2-1"),
    ]
    assert others[0]["sourceInfo"] == "installed in: /bin/a, /bin/b"
    identifiers = [each["SPDXID"] for each in document["packages"]]
    assert len(set(identifiers)) == len(identifiers)
    describes, *contains = document["relationships"]
    assert describes["relatedSpdxElement"] == image["SPDXID"]
    assert [each["relatedSpdxElement"] for each in contains] == identifiers[1:]
    assert document["creationInfo"] == {"created": "2020-01-01T00:00:00Z", "creators": ["Tool: pyoci-1.0"]}
    assert spdx_document(SUBJECT, packages[::-1], {}) == document


def test_an_image_is_read() -> None:
    tree = tree_of(
        {
            "var/lib/dpkg/status": b"Package: base-files\nStatus: install ok installed\nVersion: 12\n"
            b"Architecture: amd64\n",
            "usr/lib/os-release": b'# comment\nID=debian\nVERSION_ID="12"\n',
            "usr/lib/python3/Foo_Bar-1.0.dist-info/METADATA": b"",
        }
    )
    found = [(each.system, each.name, each.after) for each in image_packages(Files(tree))]
    assert found == [("dpkg", "base-files:amd64", "12"), ("python", "foo-bar", "1.0")]
    assert os_release(tree) == DEBIAN
    assert os_release(Tree()) == {}
