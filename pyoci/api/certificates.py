"""What `--ca-bundle` names: the machine's own certificate authorities, or a file of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pyoci.environment import Environment
from pyoci.errors import UsageError

__all__ = ["HOST_BUNDLES", "read_ca_bundle"]

HOST_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where distributions keep the bundle that their programs trust; the first that is there counts."""
_LIMIT = 16 << 20


def read_ca_bundle(value: str, environment: Environment, *, host_bundles: Sequence[str] = HOST_BUNDLES) -> bytes:
    """The certificates, in PEM; nothing for an empty value.

    Raises:
        UsageError: there is no such file, it cannot be read, or it holds something else.
    """
    if not value:
        return b""
    path = environment.path(value)
    if value == "host":
        found = next((Path(place) for place in host_bundles if Path(place).is_file()), None)
        if found is None:
            raise UsageError(
                "--ca-bundle host: this machine has no bundle of certificates where distributions keep it",
                hint="name the file: --ca-bundle FILE",
            )
        path = found
    try:
        with path.open("rb") as stream:
            data = stream.read(_LIMIT + 1)
    except OSError as error:
        raise UsageError(f"--ca-bundle {value}: {(error.strerror or str(error)).lower()}") from error
    if len(data) > _LIMIT:
        raise UsageError(f"--ca-bundle {value}: has more than {_LIMIT} bytes")
    if b"-----BEGIN CERTIFICATE-----" not in data:
        raise UsageError(f"--ca-bundle {value}: holds no certificate", hint="it must be a file of PEM certificates")
    if b"PRIVATE KEY-----" in data:
        raise UsageError(
            f"--ca-bundle {value}: holds a private key, which steps would see", hint="give the certificates alone"
        )
    return data
