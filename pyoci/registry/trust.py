"""Whom a TLS connection trusts, and as whom it shows itself."""

from __future__ import annotations

import ssl
from collections.abc import Callable

from pyoci.errors import UsageError
from pyoci.registry.hosts import Tls

__all__ = ["make_context"]


def make_context(tls: Tls) -> ssl.SSLContext:
    """A TLS context of its own: system store, configured CAs, client certificates.

    Raises:
        UsageError: a CA or certificate file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.verify:
        _load_system_store(context)
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


def _load_system_store(context: ssl.SSLContext) -> None:
    """The system's CAs; those that come with the HTTP library where there is no system store."""
    paths = ssl.get_default_verify_paths()
    if paths.cafile or paths.capath:
        context.load_default_certs()
    if not paths.cafile and not context.cert_store_stats()["x509_ca"]:
        import certifi

        context.load_verify_locations(certifi.where())


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
