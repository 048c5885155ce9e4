"""RUN behind a proxy that signs anew: a CA of the test's own, which the programs of a step know by the bundle alone."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.integration.accounts import Account, Installation, root_account, temporary_account
from tests.integration.fetch.web_server import Page, WebServer, web_server
from tests.integration.real.registry import Certificates, make_certificates

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_userns]

KINDS: dict[str, Callable[[], AbstractContextManager[Account]]] = {
    "root": root_account,
    "subuid": lambda: temporary_account(subordinate_ids=True),
    "single": lambda: temporary_account(subordinate_ids=False),
}
PROGRAMS = {
    "curl": "curl --silent --show-error --fail {url}/hello",
    "python": "python3 -c 'import urllib.request as u; print(u.urlopen(\"{url}/hello\").read().decode())'",
    "pip": "python3 -m pip download --quiet --no-deps -d /tmp --index-url {url}/simple hello && ls /tmp/hello-*.whl",
    "go": "GOPROXY={url}/go GONOSUMDB=* GOFLAGS=-modcacherw go mod download -x example.com/hello@v1.0.0",
    "git": "git ls-remote {url}/none.git 2>&1 | grep -q 'not found'",
}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def server(certificates: Certificates) -> Iterator[WebServer]:
    with web_server(certificates) as server:
        wheel, module = io.BytesIO(), io.BytesIO()
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("hello.py", "")
            archive.writestr("hello-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: hello\nVersion: 1.0\n")
            archive.writestr("hello-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            archive.writestr("hello-1.0.dist-info/RECORD", "")
        with zipfile.ZipFile(module, "w") as archive:
            archive.writestr("example.com/hello@v1.0.0/go.mod", "module example.com/hello\n")
        link = b'<a href="/hello-1.0-py3-none-any.whl">hello-1.0-py3-none-any.whl</a>'
        server.pages = {
            "/hello": Page(b"hello"),
            "/simple/hello/": Page(link, headers={"Content-Type": "text/html"}),
            "/hello-1.0-py3-none-any.whl": Page(wheel.getvalue()),
            "/go/example.com/hello/@v/v1.0.0.info": Page(b'{"Version":"v1.0.0"}'),
            "/go/example.com/hello/@v/v1.0.0.mod": Page(b"module example.com/hello\n"),
            "/go/example.com/hello/@v/v1.0.0.zip": Page(module.getvalue()),
        }
        yield server


@pytest.fixture(params=KINDS)
def account(request: pytest.FixtureRequest, certificates: Certificates) -> Iterator[Account]:
    with KINDS[request.param]() as account:
        shutil.copyfile(certificates.ca, account.home / "ca.pem")
        yield account


def build(pyoci: Installation, account: Account, dockerfile: str, *flags: str, status: int = 0) -> str:
    directory = account.home / "context"
    directory.mkdir(exist_ok=True)
    directory.chmod(0o755)
    (directory / "Dockerfile").write_text(dockerfile)
    result = pyoci.run(account, "build", "--progress=plain", "--preflight=off", *flags, str(directory))
    assert result.returncode == status, result.stderr
    return result.stderr


@pytest.mark.needs_go
@pytest.mark.needs_git
def test_programs_trust_it_for_one_step(pyoci: Installation, account: Account, server: WebServer) -> None:
    """In a stage on the machine's own programs, none of which know the CA."""
    host = ("--build-context", "tools=host:")
    steps = {name: "RUN " + command.format(url=server.url("")) for name, command in PROGRAMS.items()}
    last = "FROM scratch\nCOPY --from=a /etc /etc\n"
    for step in steps.values():
        said = build(pyoci, account, f"FROM tools AS a\n{step}\n{last}", *host, status=1)
        assert "certificate" in said.lower() or step == steps["git"]
    dockerfile = f"FROM tools AS a\n{chr(10).join(steps.values())}\n{last}"
    archive = ("-o", "type=local,dest=out")
    build(pyoci, account, dockerfile, *host, "--ca-bundle=ca.pem", *archive)
    assert [path.name for path in (account.home / "out/etc").glob("ssl/**/*") if path.is_file()] == []
    assert build(pyoci, account, dockerfile, *host, *archive).count("CACHED") == len(steps) + 1, "it is in no key"


INSTALL = """\
FROM base
RUN sed -i 's/^/# /' /etc/apt/apt.conf.d/* ; apt-get update -q && \\
    apt-get install -q -y --no-install-recommends ca-certificates curl && rm -rf /var/lib/apt/lists/*
RUN {curl} && env | grep -c pyoci-ca-bundle
RUN grep -q 'shown to one step' /etc/ssl/certs/ca-certificates.crt && echo shown
"""


@pytest.mark.needs_apt
@pytest.mark.timeout(900)
def test_an_image_installs_certificates_of_its_own(
    pyoci: Installation, account: Account, server: WebServer, debian_tar: Path, certificates: Certificates
) -> None:
    """The package puts its bundle where that of the machine lies; what is in the layer is the package's."""
    shutil.copyfile(debian_tar, account.home / "base.tar")
    base = account.home / "base"
    base.mkdir()
    base.chmod(0o755)
    (base / "Dockerfile").write_text("FROM scratch\nADD base.tar /\n")
    (account.home / "base.tar").rename(base / "base.tar")
    made = pyoci.run(account, "build", "-q", "--preflight=off", "-t", "localhost/base", str(base))
    assert made.returncode == 0, made.stderr
    given = ("--build-context", "base=docker-image://localhost/base", "--ca-bundle=ca.pem", "-t", "installed")
    curl = PROGRAMS["curl"].format(url=server.url(""))
    shown = build(pyoci, account, INSTALL.format(curl=curl), *given, "-o", "type=local,dest=out")
    assert "hello" in shown
    assert " shown\n" in shown
    installed = (account.home / "out/etc/ssl/certs/ca-certificates.crt").read_text()
    assert installed.count("BEGIN CERTIFICATE") > 100
    assert "shown to one step" not in installed
    assert certificates.ca.read_text().split("\n")[1] not in installed
    assert not (account.home / "out/etc/ssl/cert.pem").exists()
    history = json.loads(pyoci.run(account, "inspect", "installed").stdout)[0]
    assert "pyoci" not in json.dumps(history["Config"])
    plain = f"FROM installed\nRUN {curl}\n"
    assert "certificate" in build(pyoci, account, plain, status=1).lower()
    kept = build(pyoci, account, "FROM installed\nRUN echo >> /etc/ssl/certs/ca-certificates.crt\n", *given, status=1)
    assert "/etc/ssl/certs/ca-certificates.crt would keep the certificates of --ca-bundle" in kept
    copied = build(pyoci, account, "FROM installed\nRUN cp $SSL_CERT_FILE /mine.pem\n", *given, status=1)
    assert "/mine.pem would keep the certificates of --ca-bundle" in copied


def test_where_nothing_can_be_mounted(pyoci: Installation, busybox_tar: Path, certificates: Certificates) -> None:
    with root_account() as account:
        shutil.copyfile(certificates.ca, account.home / "ca.pem")
        context = account.home / "context"
        context.mkdir()
        shutil.copyfile(busybox_tar, context / "base.tar")
        dockerfile = """\
FROM scratch AS base
ADD base.tar /
FROM base
RUN cmp $SSL_CERT_FILE /etc/ssl/certs/ca-certificates.crt && grep -c BEGIN /etc/ssl/cert.pem && echo done >/done
RUN echo own >/new && mv /new /etc/ssl/certs/ca-certificates.crt
RUN cat /etc/ssl/certs/ca-certificates.crt | wc -l
"""
        flags = ("--isolation=chroot", "--ca-bundle=ca.pem", "-o", "type=local,dest=out")
        build(pyoci, account, dockerfile, *flags)
        out = account.home / "out"
        assert (out / "done").read_text() == "done\n"
        assert {str(path.relative_to(out)) for path in (out / "etc/ssl").rglob("*")} == {
            "etc/ssl/certs",
            "etc/ssl/certs/ca-certificates.crt",
        }
        assert (out / "etc/ssl/certs/ca-certificates.crt").read_text() == "own\n"
        kept = "FROM scratch AS base\nADD base.tar /\nFROM base\nRUN echo x >>/etc/ssl/cert.pem\n"
        shown = build(pyoci, account, kept, *flags, status=1)
        assert "/etc/ssl/cert.pem would keep the certificates of --ca-bundle" in shown
