"""What this machine has of the parts that judge pyoci: a test that needs a missing one is skipped and says which.

`PYOCI_REQUIRE=docker,registry,…` names the parts whose absence is a failure instead.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.integration.bases import host_apt_source

OWN_SERVER = ("docker", "containerd")
"""Parts that a test session starts once: under pytest-xdist their tests stay on one worker."""


def _programs(*names: str) -> Callable[[], str]:
    def missing() -> str:
        absent = [name for name in names if shutil.which(name) is None]
        return f"{' and '.join(absent)} not installed" if absent else ""

    return missing


def _root() -> str:
    return "" if os.geteuid() == 0 else "not run as root"


def _daemon(*names: str) -> Callable[[], str]:
    return lambda: _programs(*names)() or _root()


def _userns() -> str:
    """Tried as an ordinary user, whoever runs the tests."""
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    command = [*as_nobody, "unshare", "--user", "--map-root-user", "true"]
    try:
        tried = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except OSError as error:
        return f"cannot try user namespaces: {error}"
    return f"no user namespaces for ordinary users: {tried.stderr.strip()}" if tried.returncode else ""


def _go() -> str:
    return "" if shutil.which("go") or os.access("/usr/local/go/bin/go", os.X_OK) else "go not installed"


def _apt() -> str:
    absent = _daemon("debootstrap")()
    if absent:
        return absent
    mirror = urlsplit(host_apt_source().mirror)
    proxy = urlsplit(os.environ.get("http_proxy", ""))
    host, port = (proxy.hostname, proxy.port) if proxy.hostname else (mirror.hostname, mirror.port)
    try:
        socket.create_connection((host or "", port or 80), timeout=10).close()
    except OSError as error:
        return f"the Debian mirror {mirror.hostname} is out of reach: {error}"
    return ""


def _binfmt() -> str:
    absent = _daemon("qemu-riscv64-static", "nsenter", "setpriv")()
    if absent:
        return absent
    try:
        known = Path("/proc/filesystems").read_text()
    except OSError as error:
        return f"cannot read /proc/filesystems: {error}"
    return "" if "binfmt_misc" in known else "the kernel has no binfmt_misc"


PARTS: dict[str, Callable[[], str]] = {
    "root": _root,
    "userns": _userns,
    "registry": _programs("docker-registry"),
    "docker": _daemon("dockerd", "docker"),
    "containerd": _daemon("containerd", "ctr"),
    "podman": _daemon("podman", "runc"),
    "skopeo": _programs("skopeo"),
    "umoci": _programs("umoci"),
    "buildah": _daemon("buildah", "runc"),
    "go": _go,
    "cc": _programs("gcc", "musl-gcc"),
    "git": _programs("git"),
    "apt": _apt,
    "binfmt": _binfmt,
    "qemu": _programs("qemu-x86_64-static", "qemu-arm-static", "qemu-aarch64-static"),
    "rpm": _programs("rpm", "rpmbuild"),
    "browser": _programs("firefox-esr"),
}
"""By the name after `needs_`: what is missing, or the empty string."""


@cache
def missing(part: str) -> str:
    """Why the part cannot be used here; empty when it can. Asked once per process."""
    return PARTS[part]()


def needed_parts(item: pytest.Item) -> list[str]:
    return [marker.name.removeprefix("needs_") for marker in item.iter_markers() if marker.name.startswith("needs_")]


def required_parts() -> frozenset[str]:
    names = frozenset(name.strip() for name in os.environ.get("PYOCI_REQUIRE", "").split(",") if name.strip())
    unknown = names - PARTS.keys()
    if unknown:
        raise pytest.UsageError(f"PYOCI_REQUIRE names {', '.join(sorted(unknown))}; known are {', '.join(PARTS)}")
    return names


def pytest_configure(config: pytest.Config) -> None:
    required_parts()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell's background jobs inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not config.pluginmanager.hasplugin("xdist"):
        config.addinivalue_line("markers", "xdist_group(name): tests that run on one worker")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for part in needed_parts(item):
            if part in OWN_SERVER:
                item.add_marker(pytest.mark.xdist_group(part))
                break


def pytest_runtest_setup(item: pytest.Item) -> None:
    for part in needed_parts(item):
        reason = missing(part)
        if not reason:
            continue
        if part in required_parts():
            pytest.fail(f"needs {part}, which PYOCI_REQUIRE promises: {reason}", pytrace=False)
        pytest.skip(f"needs {part}: {reason}")
