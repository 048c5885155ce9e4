"""Which CAs count as the system's, for an OpenSSL that was built to look where there may be nothing."""

from __future__ import annotations

import ssl
from pathlib import Path

import certifi
import pytest

from pyoci.registry.trust import load_system_store


def one_of(number: int) -> str:
    """A real CA, in PEM."""
    return certifi.contents().split("-----END CERTIFICATE-----\n")[number] + "-----END CERTIFICATE-----\n"


def paths(cafile: Path | None, capath: Path | None) -> ssl.DefaultVerifyPaths:
    named_file, directory = (str(path) if path else None for path in (cafile, capath))
    return ssl.DefaultVerifyPaths(named_file, directory, "SSL_CERT_FILE", "", "SSL_CERT_DIR", "")  # type: ignore[arg-type]


def loaded(where: ssl.DefaultVerifyPaths, bundles: list[Path]) -> int:
    """How many CAs are in the store; OpenSSL reads those of a directory when it wants one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    load_system_store(context, where, [str(bundle) for bundle in bundles])
    return context.cert_store_stats()["x509_ca"]


def test_without_openssl_s_own_the_first_bundle_that_is_there_counts(tmp_path: Path) -> None:
    first, second = tmp_path / "first.crt", tmp_path / "second.crt"
    first.write_text(one_of(0))
    second.write_text(one_of(0) + one_of(1))
    (tmp_path / "empty").mkdir()
    nowhere = paths(None, tmp_path / "empty")
    assert loaded(nowhere, [tmp_path / "gone.crt", first, second]) == 1
    assert loaded(nowhere, [second, first]) == 2


def test_a_bundle_that_is_damaged_is_passed_over(tmp_path: Path) -> None:
    damaged, good = tmp_path / "damaged.crt", tmp_path / "good.crt"
    damaged.write_text("-----BEGIN CERTIFICATE-----\n")
    good.write_text(one_of(0))
    assert loaded(paths(None, None), [damaged, good]) == 1


def test_without_any_those_of_the_http_library_count() -> None:
    assert loaded(paths(None, None), []) == certifi.contents().count("BEGIN CERTIFICATE")


def test_where_the_system_has_cas_none_are_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = tmp_path / "certs"
    hashed.mkdir()
    (hashed / "0123abcd.0").write_text(one_of(0))
    monkeypatch.setenv("SSL_CERT_DIR", str(hashed))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    assert loaded(paths(None, hashed), []) == 0, "read when one is wanted"
