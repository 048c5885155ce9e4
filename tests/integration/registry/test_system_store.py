"""Registries whose CA the machine knows: through OpenSSL's variables, and in the directory where Debian keeps CAs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.integration.real.registry import Certificates, make_certificates, real_registry
from tests.integration.real.tunnel import tunnel_to
from tests.integration.registry.command_line import CommandLine

pytestmark = pytest.mark.needs_registry

NAME = "registry.example"
SYSTEM = Path("/etc/ssl/certs")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"), name=NAME)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[str]:
    """Behind it, `registry.example` is a registry that speaks TLS."""
    with (
        real_registry(tmp_path_factory.mktemp("registry"), tls=certificates) as registry,
        tunnel_to(registry.host) as url,
    ):
        yield url


@pytest.fixture
def trusted(tmp_path: Path, certificates: Certificates) -> Path:
    """A directory of CAs as `update-ca-certificates` leaves it: one file each, by name and by hash, and a bundle."""
    directory = tmp_path / "certs"
    directory.mkdir()
    shutil.copy(certificates.ca, directory / "own.pem")
    subprocess.run(["openssl", "rehash", str(directory)], check=True, capture_output=True, timeout=60)
    shutil.copy(certificates.ca, directory / "ca-certificates.crt")
    return directory


def pyoci_with(directory: Path, variables: Mapping[str, str], proxy: str) -> CommandLine:
    (directory / "Dockerfile").write_text("FROM scratch\nLABEL a=b\n")
    pyoci = CommandLine(directory, {"HTTPS_PROXY": proxy, **variables})
    pyoci.ok("build", "-q", "--preflight=off", "-t", "app", ".")
    return pyoci


@pytest.mark.parametrize(
    ("variable", "name"), [("SSL_CERT_FILE", "certs/own.pem"), ("SSL_CERT_DIR", "certs")], ids=["file", "directory"]
)
def test_a_ca_that_openssl_is_told_of_is_trusted(
    variable: str, name: str, trusted: Path, proxy: str, tmp_path: Path
) -> None:
    pyoci = pyoci_with(tmp_path, {variable: str(tmp_path / name)}, proxy)
    tag = variable.lower().replace("_", "-")
    pushed = pyoci.ok("copy", "store:app", f"{NAME}/app:{tag}")
    assert pyoci.ok("copy", f"{NAME}/app:{tag}", "oci-layout:kept") == pushed


@pytest.mark.needs_userns
def test_a_ca_of_the_system_is_trusted(trusted: Path, proxy: str, tmp_path: Path) -> None:
    """In a mount namespace, where the machine has this CA and no other."""
    pyoci = pyoci_with(tmp_path, {}, proxy)
    command = pyoci.command("copy", "store:app", f"{NAME}/app:system")
    script = f'mount --bind "$0" {SYSTEM} && exec "$@"'
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, str(trusted), *command],
        cwd=tmp_path,
        env=pyoci.environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr.count("error")) == (0, 0), done.stderr


def test_a_ca_that_nobody_named_is_refused(proxy: str, certificates: Certificates, tmp_path: Path) -> None:
    pyoci = pyoci_with(tmp_path, {}, proxy)
    refused = pyoci("copy", "store:app", f"{NAME}/app:refused")
    assert refused.returncode == 1
    first, *_, last = refused.stderr.splitlines()
    assert first.endswith(f"the certificate of {NAME} is not trusted: unable to get local issuer certificate")
    assert last == (
        "hint: name the certificate of its CA with --ca-file or as ca-files in config.toml, or put it into "
        f"certs.d/{NAME}/ca.crt"
    )
    pyoci.ok("copy", "--ca-file", str(certificates.ca), "store:app", f"{NAME}/app:named")
    folder = tmp_path / ".config/docker/certs.d" / NAME
    folder.mkdir(parents=True)
    shutil.copy(certificates.ca, folder / "ca.crt")
    pyoci.ok("copy", "store:app", f"{NAME}/app:kept")
