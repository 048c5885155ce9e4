"""Whom a TLS connection trusts, and as whom it shows itself."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress

from pyoci.errors import UsageError
from pyoci.regex import regex
from pyoci.registry.hosts import Tls

__all__ = ["SYSTEM_BUNDLES", "load_system_store", "make_context"]

SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where distributions keep all CAs in one file (Debian and Alpine, Red Hat, SUSE, Red Hat's newer ones, Alpine)."""
_HASHED = regex(r"[0-9a-f]{8}\.\d+")


def make_context(tls: Tls) -> ssl.SSLContext:
    """A TLS context of its own: system store, configured CAs, client certificates.

    Raises:
        UsageError: a CA or certificate file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.verify:
        load_system_store(context)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    for path in tls.ca_files if tls.verify else ():
        _load(f"CA file {path}", lambda path=path: context.load_verify_locations(path))  # type: ignore[misc]
    for certificate, key in tls.client_certs:
        _load(
            f"client certificate {certificate}",
            lambda certificate=certificate, key=key: context.load_cert_chain(certificate, key, password=_no_password),  # type: ignore[misc]
        )
    return context


def load_system_store(
    context: ssl.SSLContext, paths: ssl.DefaultVerifyPaths | None = None, bundles: Sequence[str] = SYSTEM_BUNDLES
) -> None:
    """The CAs that OpenSSL was built to trust, or `SSL_CERT_FILE` and `SSL_CERT_DIR` name; else the first of `bundles`
    that is there, for an interpreter that was built elsewhere; else those that come with `requests`.
    """
    paths = paths or ssl.get_default_verify_paths()
    if paths.cafile or _is_hashed(paths.capath):
        context.load_default_certs()
        return
    for bundle in bundles:
        with suppress(OSError):
            context.load_verify_locations(bundle)
            return
    import certifi

    context.load_verify_locations(certifi.where())


def _is_hashed(directory: str | None) -> bool:
    """Whether OpenSSL finds certificates in a directory, which is by names such as `9d04f354.0`."""
    try:
        return any(_HASHED.fullmatch(name) for name in os.listdir(directory)) if directory else False  # noqa: PTH208
    except OSError:
        return False


def _no_password() -> str:
    """Stands for OpenSSL's own question on the terminal, which would stop a build."""
    return ""


def _load(what: str, action: Callable[[], object]) -> None:
    try:
        action()
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = error.strerror if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) else ""
        raise UsageError(
            f"cannot use {what}: {reason or 'not a certificate or key in PEM, or encrypted'}",
            hint="name a readable PEM file without a pass phrase",
        ) from error
