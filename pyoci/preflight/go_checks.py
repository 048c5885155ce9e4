"""What a Go program will want of the image when it runs, by the functions that are linked into it.

A warning is given only where the program does the thing: that a package is linked says little, since net/http brings
TLS and certificates to every server. So certificates are asked for where HTTPS client code and an https address of
somebody else's are in the program, time zones where a zone is named, accounts where names are looked up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pyoci.preflight.file_facts import ElfFacts
from pyoci.preflight.findings import Finding, finding
from pyoci.preflight.go_build import GoBuild
from pyoci.preflight.subject import Subject, Target

__all__ = ["CERTIFICATE_DIRECTORIES", "CERTIFICATE_FILES", "go_findings"]

CERTIFICATE_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where Go looks for certificates on Linux (crypto/x509/root_linux.go)."""
CERTIFICATE_DIRECTORIES = ("/etc/ssl/certs", "/etc/pki/tls/certs")
_ZONE_SOURCES = ("/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/usr/lib/locale/TZ", "/etc/zoneinfo")
_OWN_ZONES = "/usr/local/go/lib/time/zoneinfo.zip"
_HTTP_CLIENT = "net/http.(*Client).do"
_TLS_CLIENTS = ("crypto/tls.Dial", "google.golang.org/grpc/credentials.(*tlsCreds).ClientHandshake")
_DEBUG_BYTES = 1 << 20


def go_findings(subject: Subject, target: Target, path: str, go: GoBuild, elf: ElfFacts) -> Iterator[Finding]:
    """Findings about a Go program that Linux will start."""
    for found in (
        *_variant(subject, target, go),
        *_certificates(subject, target, go),
        *_time_zones(subject, target, go),
        *_accounts(subject, target, go, is_static=elf.interpreter is None),
        *_build_notes(target, go, elf),
    ):
        yield Finding(found.rule, found.severity, path, found.message, found.hint, target.causes)


def _level(text: str) -> int:
    found = re.match(r"v?(\d{1,2})", text)
    return int(found[1]) if found else 0


def _variant(subject: Subject, target: Target, go: GoBuild) -> Iterator[Finding]:
    architecture, variant = subject.platform.architecture, _level(subject.platform.variant)
    name, promised = {
        "amd64": ("GOAMD64", max(variant, 1)),
        "arm": ("GOARM", variant or 7),
        "arm64": ("GOARM64", max(variant, 8)),
    }.get(architecture, ("", 0))
    wanted = _level(go.setting(name)) if name else 0
    if wanted > promised:
        value = go.setting(name)
        yield finding(
            "WrongVariant",
            f"{target.what} was built with {name}={value}, the image is for {subject.platform}: "
            "it stops on processors that cannot do that",
            f"build it with a lower {name}, or the image with --platform=linux/{architecture}/v{wanted}",
        )


def _certificates(subject: Subject, target: Target, go: GoBuild) -> Iterator[Finding]:
    if "crypto/x509.initSystemRoots" not in go.functions or go.own_certificates:
        return
    if "crypto/x509.SetFallbackRoots" in go.functions or _has_certificates(subject):
        return
    speaks_tls = any(name in go.functions for name in _TLS_CLIENTS)
    speaks_http = _HTTP_CLIENT in go.functions
    if not speaks_tls and not speaks_http:
        return
    certain = speaks_tls or go.names_https_host
    yield finding(
        "CertificatesMissing",
        f"{target.what} {'speaks TLS' if certain else 'can speak HTTPS'} as a client, and the image has no "
        "certificates to trust: x509: certificate signed by unknown authority",
        "COPY --from=golang /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/, install ca-certificates, "
        "or use a base that has them, such as gcr.io/distroless/static-debian12",
        severity="warning" if certain else "note",
    )


def _has_certificates(subject: Subject) -> bool:
    named_file, named_directories = subject.env.get("SSL_CERT_FILE"), subject.env.get("SSL_CERT_DIR")
    files = [named_file] if named_file else [*CERTIFICATE_FILES]
    directories = named_directories.split(":") if named_directories else [*CERTIFICATE_DIRECTORIES]
    if any(subject.is_mounted(path) for path in (*files, *directories)):
        return True
    for path in files:
        entry = subject.files.lookup(path)
        if entry is not None and entry.type == "file" and entry.size:
            return True
    return any(subject.files.children(path) for path in directories)


def _time_zones(subject: Subject, target: Target, go: GoBuild) -> Iterator[Finding]:
    embedded = "time.registerLoadFromEmbeddedTZData" in go.functions
    if embedded or _has_zones(subject):
        return
    zone = subject.env.get("TZ", "").removeprefix(":")
    if "/" in zone and not subject.exists(zone):
        yield finding(
            "TimeZonesMissing",
            f"{target.what}: TZ is {zone}, and the image has no time zones: its local time would be UTC",
            _ZONE_HINT,
        )
    if "time.LoadLocation" in go.functions:
        yield finding(
            "TimeZonesMissing",
            f"{target.what} loads time zones by name, and the image has none: unknown time zone",
            _ZONE_HINT,
            severity="warning" if go.names_time_zone else "note",
        )


_ZONE_HINT = (
    'import _ "time/tzdata" (or build with -tags timetzdata), install tzdata, '
    "or COPY --from=golang /usr/local/go/lib/time/zoneinfo.zip / and set ENV ZONEINFO=/zoneinfo.zip"
)


def _has_zones(subject: Subject) -> bool:
    named = subject.env.get("ZONEINFO")
    if (named and subject.exists(named)) or subject.exists(_OWN_ZONES):
        return True
    return any(subject.is_mounted(path) or subject.files.children(path) for path in _ZONE_SOURCES)


def _accounts(subject: Subject, target: Target, go: GoBuild, *, is_static: bool) -> Iterator[Finding]:
    """Only of static programs: with cgo, libc looks names up, in places of its own."""
    if not is_static or subject.exists("/etc/passwd") or subject.is_mounted("/etc/passwd"):
        return
    looks_up = go.functions & {"os/user.Lookup", "os/user.LookupGroup", "os/user.LookupId"}
    asks_current = "os/user.Current" in go.functions and not subject.env.get("USER")
    if looks_up or asks_current:
        yield finding(
            "AccountsMissing",
            f"{target.what} looks users up, and the image has no /etc/passwd",
            "COPY one with the users that it needs, or use a base that has it (gcr.io/distroless/static-debian12)",
            severity="warning" if looks_up - {"os/user.LookupId"} else "note",
        )


def _build_notes(target: Target, go: GoBuild, elf: ElfFacts) -> Iterator[Finding]:
    if go.setting("vcs.modified") == "true":
        revision = go.setting("vcs.revision")[:12]
        yield finding(
            "UncommittedChanges",
            f"{target.what} was built from a working copy with changes{revision and f' over {revision}'}",
            "commit first, or leave .git out of the context, so that the build can be repeated",
        )
    if go.setting("-race") == "true":
        yield finding(
            "RaceDetector",
            f"{target.what} was built with -race: it is slower and takes more memory",
            "build it without",
        )
    if "-N" in go.setting("-gcflags").split("=")[-1].split():
        yield finding(
            "DebugBuild",
            f"{target.what} was built without optimisation ({go.setting('-gcflags')})",
            "build it without -N",
        )
    if elf.debug_bytes >= _DEBUG_BYTES:
        yield finding(
            "DebugInformation",
            f"{target.what} carries {elf.debug_bytes / 1e6:.1f} MB of debug information",
            '-ldflags="-s -w" leaves it out; stack traces stay',
        )
