"""`--ca-bundle`: certificates of the building machine's, shown to a RUN for as long as it executes.

The bundle lies beneath the step's writes at the places where programs look, so that a package manager may put the
image's own there, and is named in the variables by which programs are told. It is in no layer: a step that changes or
copies the file, and would keep certificates that it was only shown, fails.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from pyoci.build.files import FileView, read_content
from pyoci.errors import BuildError, LayerError
from pyoci.layer.entry import Upsert
from pyoci.layer.protocols import ChangeSet
from pyoci.sandbox.protocols import FileMount

__all__ = ["certificate_mounts", "certificate_variables", "marked_bundle", "refuse_kept_certificates"]

_OWN_PATH = "/dev/pyoci-ca-bundle.crt"
_MARK = b"# Certificates of the building machine, shown to one step by pyoci --ca-bundle.\n"
"""By this a bundle is known in what a step leaves behind: an image may well have the same certificates by itself."""
_VARIABLES = (
    "SSL_CERT_FILE",
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "CURL_CA_BUNDLE",
    "DENO_CERT",
    "GIT_SSL_CAINFO",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "NIX_SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
)
_EVERYWHERE = ("/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem")
_BESIDE = {
    "/etc/pki/tls": ("/etc/pki/tls/certs/ca-bundle.crt", "/etc/pki/tls/cert.pem"),
    "/etc/pki/ca-trust/extracted/pem": ("/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",),
    "/etc/ssl/ca-bundle.pem": ("/etc/ssl/ca-bundle.pem",),
    "/var/lib/ca-certificates/ca-bundle.pem": ("/var/lib/ca-certificates/ca-bundle.pem",),
}
"""Places of other distributions, where an image has the path before."""
_LIMIT = 64 << 20


def marked_bundle(certificates: bytes) -> bytes:
    """What a step is shown."""
    return _MARK + certificates


def certificate_variables(bundle: bytes) -> tuple[str, ...]:
    """`NAME=PATH` for every program that asks a variable."""
    return tuple(f"{name}={_OWN_PATH}" for name in _VARIABLES) if bundle else ()


def certificate_mounts(bundle: bytes, tree: FileView, taken: Collection[str]) -> tuple[FileMount, ...]:
    """The bundle at every place where a program in this root would look; `taken` are targets of the step's own."""
    if not bundle:
        return ()
    laid = [FileMount(place, bundle, mode=0o644, beneath=True) for place in _places(tree) if place not in taken]
    return (FileMount(_OWN_PATH, bundle, mode=0o444), *laid)


def refuse_kept_certificates(bundle: bytes, tree: FileView, made: ChangeSet) -> None:
    """Nothing if a step left no copy of the bundle behind. Reads what it left at the places, and files of its size.

    Raises:
        BuildError: the layer would have certificates in it that the step was only shown.
    """
    if not bundle:
        return
    places = {tree.resolve(place) for place in _places(tree)}
    for change in made.changes:
        if not isinstance(change, Upsert) or change.entry.type != "file":
            continue
        entry = change.entry
        if entry.path in places or entry.size == len(bundle):
            try:
                content = read_content(made.open(entry), limit=_LIMIT)
            except LayerError:
                continue  # larger than any bundle
            if _MARK in content:
                raise BuildError(
                    f"/{entry.path} would keep the certificates of --ca-bundle, which are shown to the step alone",
                    hint="let the step leave that file alone, or build without --ca-bundle; "
                    "COPY --from takes the file that the image has itself",
                )


def _places(tree: FileView) -> Iterator[str]:
    yield from _EVERYWHERE
    for path, places in _BESIDE.items():
        if tree.lookup_nofollow(tree.resolve(path)) is not None:
            yield from places
