from __future__ import annotations

from typing import Any

import pytest

from tests.builders import Item, file, symlink
from tests.elf_builder import EM_AARCH64, EM_ARM, EM_X86_64, ET_DYN, ElfSpec, make_elf
from tests.unit.preflight.looking import GLIBC_LOADER, executable, look, text_of
from tests.unit.preflight.test_go_build import inline, names

X509, CLIENT, ZONES = "crypto/x509.initSystemRoots", "net/http.(*Client).do", "time.LoadLocation"
TLS, LOOKUP, CURRENT = "crypto/tls.Dial", "os/user.Lookup", "os/user.Current"
CERTIFICATES_HINT = (
    "COPY --from=golang /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/, install ca-certificates, "
    "or use a base that has them, such as gcr.io/distroless/static-debian12"
)
HOST = b"xhttps://api.acme.test/"


def go(
    *functions: str,
    text: bytes = b"",
    settings: dict[str, str] | None = None,
    spec: ElfSpec | None = None,
    debug: int = 0,
) -> Item:
    lines = "".join(f"build\t{name}={value}\n" for name, value in (settings or {"CGO_ENABLED": "0"}).items())
    info = inline(b"go1.22.1", bytes(16) + f"path\tapp\n{lines}".encode() + bytes(16))
    sections = {".go.buildinfo": info, ".gopclntab": names(*functions), ".rodata": text}
    if debug:
        sections[".debug_info"] = bytes(debug)
    spec = spec or ElfSpec()
    return executable(
        make_elf(
            ElfSpec(
                bits=spec.bits,
                machine=spec.machine,
                type=spec.type,
                interpreter=spec.interpreter,
                needed=spec.needed,
                sections=sections,
            )
        )
    )


def say(app: Item, items: dict[str, Item] | None = None, platform: str = "linux/amd64", **fields: Any) -> list[str]:
    return text_of(look({"app": app, **(items or {})}, platform=platform, entrypoint=("/app",), **fields))


def test_a_plain_go_program_wants_nothing() -> None:
    assert say(go()) == []


# certificates


def test_a_client_that_names_a_host_wants_certificates() -> None:
    assert say(go(X509, CLIENT, text=HOST)) == [
        'warning: entrypoint "/app" speaks TLS as a client, and the image has no certificates to trust: '
        f"x509: certificate signed by unknown authority | {CERTIFICATES_HINT}"
    ]


def test_a_client_that_names_no_host_may_want_certificates() -> None:
    assert say(go(X509, CLIENT)) == [
        'note: entrypoint "/app" can speak HTTPS as a client, and the image has no certificates to trust: '
        f"x509: certificate signed by unknown authority | {CERTIFICATES_HINT}"
    ]


@pytest.mark.parametrize("function", [TLS, "google.golang.org/grpc/credentials.(*tlsCreds).ClientHandshake"])
def test_a_tls_client_wants_certificates(function: str) -> None:
    assert say(go(X509, function))[0].startswith("warning: ")


@pytest.mark.parametrize(
    "app",
    [
        go(X509, text=HOST),
        go(CLIENT, text=HOST),
        go(X509, CLIENT, "crypto/x509.SetFallbackRoots", text=HOST),
        go(X509, CLIENT, text=HOST + b"-----BEGIN CERTIFICATE-----\nMIIF"),
    ],
    ids=["a server", "no TLS", "fallback roots", "built in"],
)
def test_programs_that_do_without(app: Item) -> None:
    assert say(app) == []


@pytest.mark.parametrize(
    ("items", "env"),
    [
        ({"etc/ssl/certs/ca-certificates.crt": b"x"}, ()),
        ({"etc/ssl/cert.pem": symlink("/usr/share/ca.pem"), "usr/share/ca.pem": b"x"}, ()),
        ({"etc/pki/tls/certs/any.pem": b"x"}, ()),
        ({"opt/ca.pem": b"x"}, ("SSL_CERT_FILE=/opt/ca.pem",)),
        ({"opt/certs/ca.pem": b"x"}, ("SSL_CERT_DIR=/nowhere:/opt/certs",)),
    ],
)
def test_certificates_are_found_where_go_looks(items: dict[str, Item], env: tuple[str, ...]) -> None:
    assert say(go(X509, CLIENT, text=HOST), items, env=env) == []


@pytest.mark.parametrize(
    ("items", "env"),
    [
        ({"etc/ssl/certs/ca-certificates.crt": b""}, ("SSL_CERT_DIR=/nowhere",)),
        ({"etc/ssl/openssl.cnf": b"x"}, ()),
        ({"etc/ssl/cert.pem": symlink("gone")}, ()),
        ({"etc/ssl/certs/ca-certificates.crt": b"x"}, ("SSL_CERT_FILE=/gone", "SSL_CERT_DIR=/gone")),
    ],
)
def test_what_is_no_certificate_does_not_count(items: dict[str, Item], env: tuple[str, ...]) -> None:
    assert len(say(go(X509, CLIENT, text=HOST), items, env=env)) == 1


def test_certificates_in_a_volume_are_nobody_s_guess() -> None:
    assert say(go(X509, CLIENT, text=HOST), volumes=("/etc/ssl",)) == []


# time zones


def test_a_program_that_names_a_zone_wants_zones() -> None:
    (said,) = say(go(ZONES, text=b"Europe/Berlin"))
    assert said.startswith(
        'warning: entrypoint "/app" loads time zones by name, and the image has none: unknown time zone | import _ '
        '"time/tz'
    )


def test_a_program_that_names_no_zone_may_want_zones() -> None:
    assert [one.partition(":")[0] for one in say(go(ZONES))] == ["note"]


def test_tz_is_a_zone_that_is_wanted() -> None:
    (said,) = say(go(), env=("TZ=Europe/Berlin",))
    assert said.startswith(
        'warning: entrypoint "/app": TZ is Europe/Berlin, and the image has no time zones: its local time would be '
        "UTC |"
    )
    assert say(go(), env=("TZ=UTC",)) == []
    assert say(go(), {"etc/zone": b"TZif"}, env=("TZ=/etc/zone",)) == []


@pytest.mark.parametrize(
    ("items", "env"),
    [
        ({"usr/share/zoneinfo/Europe/Berlin": b"TZif"}, ()),
        ({"usr/local/go/lib/time/zoneinfo.zip": b"PK"}, ()),
        ({"z.zip": b"PK"}, ("ZONEINFO=/z.zip",)),
    ],
)
def test_zones_are_found_where_go_looks(items: dict[str, Item], env: tuple[str, ...]) -> None:
    assert say(go(ZONES, text=b"Europe/Berlin"), items, env=(*env, "TZ=Europe/Berlin")) == []


def test_embedded_zones_are_enough() -> None:
    assert say(go(ZONES, "time.registerLoadFromEmbeddedTZData", text=b"Europe/Berlin"), env=("TZ=Europe/Berlin",)) == []


# accounts


def test_names_of_users_want_passwd() -> None:
    assert say(go(LOOKUP, CURRENT)) == [
        'warning: entrypoint "/app" looks users up, and the image has no /etc/passwd | COPY one with the users that it '
        "needs, or use a base that has it (gcr.io/distroless/static-debian12)"
    ]


def test_the_current_user_may_be_asked_for_in_vain() -> None:
    assert [one.partition(":")[0] for one in say(go(CURRENT))] == ["note"]
    assert say(go(CURRENT), env=("USER=web",)) == []


def test_passwd_is_enough_and_libc_has_its_own_ways() -> None:
    assert say(go(LOOKUP), {"etc/passwd": b""}) == []
    dynamic = go(LOOKUP, spec=ElfSpec(type=ET_DYN, interpreter="/lib64/ld-linux-x86-64.so.2"))
    assert say(dynamic, {"lib64/ld-linux-x86-64.so.2": executable(GLIBC_LOADER)}) == []


# how it was built


@pytest.mark.parametrize(
    ("settings", "machine", "platform", "expected"),
    [
        ({"GOAMD64": "v3"}, EM_X86_64, "linux/amd64", "GOAMD64=v3, the image is for linux/amd64"),
        ({"GOAMD64": "v3"}, EM_X86_64, "linux/amd64/v2", "GOAMD64=v3, the image is for linux/amd64/v2"),
        ({"GOAMD64": "v3"}, EM_X86_64, "linux/amd64/v3", ""),
        ({"GOAMD64": "v1"}, EM_X86_64, "linux/amd64", ""),
        ({"GOARM": "7,hardfloat"}, EM_ARM, "linux/arm/v6", "GOARM=7,hardfloat, the image is for linux/arm/v6"),
        ({"GOARM": "7"}, EM_ARM, "linux/arm/v7", ""),
        ({"GOARM": "6"}, EM_ARM, "linux/arm", ""),
        ({"GOARM64": "v9.0,lse"}, EM_AARCH64, "linux/arm64", "GOARM64=v9.0,lse, the image is for linux/arm64"),
        ({"GOARM64": "v8.0"}, EM_AARCH64, "linux/arm64", ""),
    ],
)
def test_variants(settings: dict[str, str], machine: int, platform: str, expected: str) -> None:
    spec = ElfSpec(machine=machine, bits=32 if machine == EM_ARM else 64)
    said = say(go(settings=settings, spec=spec), platform=platform)
    assert len(said) == bool(expected)
    assert all(f"was built with {expected}: it stops on processors that cannot do that" in one for one in said)


def test_another_system() -> None:
    assert say(go(settings={"GOOS": "freebsd", "GOARCH": "amd64"})) == [
        'error: entrypoint "/app" is a program for freebsd/amd64, the image is for linux/amd64 '
        "| build it with GOOS=linux GOARCH=amd64"
    ]


def test_another_processor() -> None:
    assert say(go(spec=ElfSpec(machine=EM_AARCH64))) == [
        'error: entrypoint "/app" is a program for arm64, the image is for linux/amd64: exec format error '
        "| build it with GOARCH=amd64, or with GOARCH=$TARGETARCH after ARG TARGETARCH"
    ]


def test_cgo_on_a_base_without_libc() -> None:
    spec = ElfSpec(type=ET_DYN, interpreter="/lib64/ld-linux-x86-64.so.2", needed=["libc.so.6"])
    (said,) = say(go(settings={"CGO_ENABLED": "1"}, spec=spec))
    assert said.endswith(
        "| build it with CGO_ENABLED=0, or use a base with glibc such as debian:bookworm-slim, ubuntu:24.04 or "
        "gcr.io/distroless/base-debian12"
    )


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"vcs.revision": "0123456789abcdef", "vcs.modified": "true"},
            'note: entrypoint "/app" was built from a working copy with changes over 0123456789ab '
            "| commit first, or leave .git out of the context, so that the build can be repeated",
        ),
        (
            {"-race": "true"},
            'note: entrypoint "/app" was built with -race: it is slower and takes more memory | build it without',
        ),
        (
            {"-gcflags": '"all=-N -l"'},
            'note: entrypoint "/app" was built without optimisation (all=-N -l) | build it without -N',
        ),
    ],
)
def test_builds_that_are_not_for_shipping(settings: dict[str, str], expected: str) -> None:
    assert say(go(settings=settings)) == [expected]


def test_debug_information_is_weighed() -> None:
    assert say(go(debug=3_000_000)) == [
        'note: entrypoint "/app" carries 3.0 MB of debug information | -ldflags="-s -w" leaves it out; stack traces '
        "stay"
    ]
    assert say(go(debug=1000)) == []


def test_damaged_build_information_is_said_and_no_more() -> None:
    broken = make_elf(ElfSpec(sections={".go.buildinfo": inline(b"perl", b"")}))
    assert say(file(broken, mode=0o755)) == [
        'note: entrypoint "/app" could not be looked at: its Go build information: the build information names no '
        "version "
        "of Go | "
    ]
