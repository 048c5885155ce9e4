"""Where the certificates of --ca-bundle are shown, what names them, and what of them must not stay behind."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import pytest

from pyoci.api.certificates import read_ca_bundle
from pyoci.build.operations.certificates import (
    certificate_mounts,
    certificate_variables,
    marked_bundle,
    refuse_kept_certificates,
)
from pyoci.environment import Environment
from pyoci.errors import BuildError, UsageError
from pyoci.layer.entry import Change, Entry, LayerPath, Remove, Upsert
from pyoci.layer.tree import Tree
from pyoci.platforms import Platform

PEM = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
BUNDLE = marked_bundle(PEM)
COMMON = ["/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem"]


class Files:
    """A layer of files (bytes), links (str) and directories (None)."""

    def __init__(self, files: Mapping[str, bytes | str | None]) -> None:
        self._files = files
        self.changes: list[Change] = []
        for name, what in sorted(files.items()):
            path = LayerPath(name)
            match what:
                case bytes():
                    self.changes.append(Upsert(Entry(path, "file", size=len(what))))
                case str():
                    self.changes.append(Upsert(Entry(path, "symlink", link=what)))
                case None:
                    self.changes.append(Upsert(Entry(path, "dir", mode=0o755)))

    def open(self, entry: Entry) -> BinaryIO:
        content = self._files[entry.path]
        assert isinstance(content, bytes)
        return io.BytesIO(content)


def tree(files: Mapping[str, bytes | str | None] | None = None) -> Tree:
    return Tree().with_changes(Files(files or {}))


def targets(image: Tree, taken: tuple[str, ...] = ()) -> list[str]:
    return [mount.target for mount in certificate_mounts(BUNDLE, image, taken) if mount.beneath]


def test_without_a_bundle_nothing_is_shown() -> None:
    assert certificate_mounts(b"", tree(), ()) == ()
    assert certificate_variables(b"") == ()
    refuse_kept_certificates(b"", tree(), Files({"x": BUNDLE}))


def test_places_are_those_of_the_images_distribution() -> None:
    assert targets(tree()) == COMMON
    red_hat = tree({"etc": None, "etc/pki": None, "etc/pki/tls": None, "etc/pki/tls/certs": None})
    assert targets(red_hat) == [*COMMON, "/etc/pki/tls/certs/ca-bundle.crt", "/etc/pki/tls/cert.pem"]
    suse = tree({"etc": None, "etc/ssl": None, "etc/ssl/ca-bundle.pem": "/var/lib/x", "var": None})
    assert targets(suse) == COMMON
    assert targets(tree(), ("/etc/ssl/cert.pem",)) == COMMON[:1]


def test_variables_name_a_file_that_is_in_no_root_file_system() -> None:
    (own, *_) = certificate_mounts(BUNDLE, tree(), ())
    assert (own.target, own.beneath, own.writable) == ("/dev/pyoci-ca-bundle.crt", False, False)
    variables = dict(entry.split("=") for entry in certificate_variables(BUNDLE))
    assert set(variables.values()) == {own.target}
    assert {"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO"} <= set(
        variables
    )


@pytest.mark.parametrize(
    "kept",
    [
        {"etc/ssl/certs/ca-certificates.crt": BUNDLE + PEM},
        {"etc/ssl/certs/ca-certificates.crt": PEM + BUNDLE},
        {"usr/lib/ssl/real.pem": BUNDLE + b"more"},
        {"srv/copied.pem": BUNDLE},
    ],
)
def test_what_would_stay_in_a_layer_fails_the_step(kept: Mapping[str, bytes]) -> None:
    image = tree({"etc": None, "etc/ssl": None, "etc/ssl/cert.pem": "/usr/lib/ssl/real.pem"})
    with pytest.raises(BuildError, match=f"/{next(iter(kept))} would keep the certificates of --ca-bundle"):
        refuse_kept_certificates(BUNDLE, image, Files(kept))


def test_what_the_step_made_itself_stays() -> None:
    made = Files(
        {
            "etc/ssl/certs/ca-certificates.crt": PEM,  # the same certificates, by the image's own package
            "other": BUNDLE + b"x",
            "same size": b"x" * len(BUNDLE),
            "etc/ssl/cert.pem": "certs/ca-certificates.crt",
        }
    )
    made.changes.append(Remove(LayerPath("etc/ssl/old.pem")))
    refuse_kept_certificates(BUNDLE, tree(), made)


def environment(directory: Path) -> Environment:
    return Environment(directory / "store", directory, directory, 0, 0, Platform("linux", "amd64"), 0)


def test_files(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(b"# a comment\n" + PEM)
    assert read_ca_bundle("ca.pem", environment(tmp_path)) == b"# a comment\n" + PEM
    assert read_ca_bundle("", environment(tmp_path)) == b""
    places = [str(tmp_path / "none"), str(tmp_path / "ca.pem")]
    assert read_ca_bundle("host", environment(tmp_path), host_bundles=places).endswith(PEM)


@pytest.mark.parametrize(
    ("value", "content", "message"),
    [
        ("none.pem", None, "--ca-bundle none.pem: no such file or directory"),
        ("x.pem", b"x", "--ca-bundle x.pem: holds no certificate"),
        ("x.pem", PEM + b"-----BEGIN EC PRIVATE KEY-----\n", "--ca-bundle x.pem: holds a private key"),
        ("host", None, "--ca-bundle host: this machine has no bundle"),
    ],
)
def test_what_is_no_bundle(tmp_path: Path, value: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / value).write_bytes(content)
    with pytest.raises(UsageError, match=message):
        read_ca_bundle(value, environment(tmp_path), host_bundles=[])
