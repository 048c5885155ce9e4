"""A Go program built with the machine's own toolchain and no builder image, by every kind of user."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.accounts import Account, Installation, root_account, temporary_account

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_userns]

KINDS: dict[str, Callable[[], AbstractContextManager[Account]]] = {
    "root": root_account,
    "subuid": lambda: temporary_account(subordinate_ids=True),
    "single": lambda: temporary_account(subordinate_ids=False),
}
HOST = ("--build-context", "golang=host:")
GO = """\
FROM golang AS builder
WORKDIR /usr/src/app
COPY go.mod main.go ./
RUN --mount=type=cache,target=/root/.cache/go-build \\
    test "$(go env GOPATH)" = /go && CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o /usr/local/bin/app .

FROM scratch
COPY --from=builder /usr/local/bin/app /app
ENTRYPOINT ["/app"]
"""
MAIN = 'package main\n\nimport "os"\n\nfunc main() { os.Stdout.WriteString("built here\\n") }\n'
LOOK = r"""
echo "empty: $(ls -A /root /home /run /tmp /var/lib | tr '\n' ' ')"
for path in /etc/shadow /etc/gshadow /etc/sudoers /etc/ssh /etc/ssl/private /etc/machine-id /etc/apt /etc/gitconfig
do test -e $path && echo "there: $path"; done
find / -xdev -maxdepth 1 -type d | sort | tr '\n' ' '; echo
cat /etc/passwd | wc -l
for path in /usr/bin/new /usr/local/go/new /etc/ssl/certs/new
do touch $path 2>/dev/null && echo "written: $path"; done
find /usr /opt /etc -type f ! -perm -o=r -exec sh -c 'cat "$1" >/dev/null 2>&1 && echo "read: $1"' _ {} \;
touch /etc/mine /opt/mine /usr/local/bin/mine /usr/mine && echo own
"""


@pytest.fixture(params=KINDS)
def account(request: pytest.FixtureRequest) -> Iterator[Account]:
    with KINDS[request.param]() as account:
        yield account


def context(account: Account, dockerfile: str) -> Path:
    """The context; files that are as they are to be are not touched, so that nothing but the machine changes."""
    directory = account.home / "context"
    if not directory.exists():
        directory.mkdir()
        directory.chmod(0o755)
    texts = {"Dockerfile": dockerfile, "go.mod": "module example.com/app\n\ngo 1.21\n", "main.go": MAIN}
    for name, text in texts.items():
        file = directory / name
        if not file.exists() or file.read_text() != text:
            file.write_text(text)
            file.chmod(0o644)
    return directory


def build(
    pyoci: Installation, account: Account, dockerfile: str, *flags: str, status: int = 0, host: tuple[str, ...] = HOST
) -> str:
    directory = context(account, dockerfile)
    result = pyoci.run(account, "build", "--progress=plain", "--preflight=off", *host, *flags, str(directory))
    assert result.returncode == status, result.stderr
    return result.stderr


def documents(archive: Path) -> tuple[dict[str, Any], list[str]]:
    """The config of the one image in an OCI archive, and the names of its files."""
    with tarfile.open(archive) as tar:

        def blob(digest: str) -> Any:
            stream = tar.extractfile(f"blobs/sha256/{digest.removeprefix('sha256:')}")
            assert stream is not None
            return stream

        index = tar.extractfile("index.json")
        assert index is not None
        manifest = json.load(blob(json.load(index)["manifests"][0]["digest"]))
        names = []
        for layer in manifest["layers"]:
            with tarfile.open(fileobj=blob(layer["digest"])) as files:
                names += files.getnames()
        return json.load(blob(manifest["config"]["digest"])), names


@pytest.mark.needs_go
def test_a_program_is_built_with_no_builder_image(pyoci: Installation, account: Account) -> None:
    archive = account.home / "app.tar"
    output = ("-t", "app", "-o", f"type=oci,dest={archive}")
    assert "CACHED" not in build(pyoci, account, GO, *output)
    config, names = documents(archive)
    assert names == ["app"]
    assert config["config"]["Env"] == ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    assert [entry["created_by"] for entry in config["history"]] == [
        "COPY /usr/local/bin/app /app # buildkit",
        'ENTRYPOINT ["/app"]',
    ]
    ran = pyoci.run(account, "run", "--rm", "app")
    assert ran.stdout == "built here\n", ran.stderr
    assert build(pyoci, account, GO).count("CACHED") == 4


def test_secrets_of_the_machine_are_not_there(pyoci: Installation, account: Account) -> None:
    shown = build(
        pyoci,
        account,
        f"FROM golang AS b\nRUN <<EOF\n{LOOK}\nEOF\nFROM scratch\nCOPY --from=b / /\n",
        "-o",
        "type=local,dest=out",
    )
    said = [line.partition(" ")[2].partition(" ")[2] for line in shown.splitlines() if line.startswith("#1 ")]
    assert any(line.startswith("empty: /home:  /root:  /run:  /tmp:  /var/lib:") for line in said), shown
    assert not [line for line in said if line.startswith(("there:", "written:", "read:"))]
    assert "2" in said
    assert "own" in said
    out = account.home / "out"
    made = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file() and not path.is_symlink()}
    assert made == {
        *("etc/mine", "opt/mine", "usr/local/bin/mine", "usr/mine"),
        *("etc/passwd", "etc/group", "etc/nsswitch.conf"),
    }


@pytest.fixture
def sdk(account: Account) -> Iterator[Path]:
    """A directory of root's, beside the homes of users: below /tmp nothing is shown."""
    directory = Path("/home") / f"sdk-{account.name}-{os.getpid()}"
    try:
        (directory / "bin").mkdir(parents=True)
        yield directory
    finally:
        shutil.rmtree(directory)


def give(file: Path, text: str, mode: int) -> None:
    file.write_text(text)
    file.chmod(mode)
    for path in (file.parent, file.parent.parent):
        path.chmod(0o755)


def test_a_change_of_the_toolchain_runs_its_steps_again(pyoci: Installation, account: Account, sdk: Path) -> None:
    host = ("--build-context", f"sdk=host:/usr,{sdk}")
    dockerfile = "FROM sdk AS b\nRUN compile > /out\nFROM scratch\nCOPY --from=b /out /\n"
    output = ("-o", "type=local,dest=out")
    for name in ("one", "two"):
        give(sdk / "bin/compile", f"#!/bin/sh\necho {name}\n", 0o755)
        assert "CACHED" not in build(pyoci, account, dockerfile, *output, host=host)
        assert (account.home / "out/out").read_text() == f"{name}\n"
        for _ in range(2):
            assert build(pyoci, account, dockerfile, *output, host=host).count("CACHED") == 2


def test_root_of_a_step_is_nobody_to_the_machine(pyoci: Installation, account: Account, sdk: Path) -> None:
    """Also of root's own files, and of programs that would become root."""
    give(sdk / "bin/private", "a secret", 0o600)
    shutil.copy("/usr/bin/id", sdk / "bin/become")
    (sdk / "bin/become").chmod(0o4755)
    dockerfile = f"""\
FROM sdk AS b
RUN id -u && stat -c 'owner: %u' {sdk}/bin/private && ! cat {sdk}/bin/private
USER 65534
RUN echo "became: $(become -u)"
FROM scratch
COPY --from=b /etc/passwd /
"""
    shown = build(pyoci, account, dockerfile, host=("--build-context", f"sdk=host:/usr,{sdk}"))
    assert " 0\n" in shown
    assert "owner: 65534" in shown
    assert "a secret" not in shown
    assert "became: 65534" in shown


REFUSED = {
    "a last stage": ("FROM golang\nRUN true\n", "the image would be made of this machine", "COPY --from=0"),
    "one below it": (
        "FROM golang AS a\nFROM a AS b\nRUN true\n",
        "the image would be made of this machine",
        "--from=b",
    ),
    "its files": (
        "FROM golang AS a\nFROM scratch\nCOPY --from=a /bin/sh /\n",
        '"/bin/sh" is a file of this machine',
        "",
    ),
    "a pattern": (
        "FROM golang AS a\nFROM scratch\nCOPY --from=a /etc/ssl/certs/* /\n",
        "is a file of this machine",
        "",
    ),
    "itself": (
        "FROM scratch\nCOPY --from=golang /usr/bin/env /\n",
        '"golang" is this machine',
        "start a stage FROM golang",
    ),
    "a mount": (
        "FROM golang AS a\nRUN --mount=from=golang,target=/x true\nFROM scratch\nCOPY --from=a /x /\n",
        '"golang" is this machine',
        "start a stage FROM golang",
    ),
    "another processor": (
        "FROM --platform=linux/s390x golang AS a\nRUN true\nFROM scratch\nCOPY --from=a /x /\n",
        "host: runs programs for linux/",
        "FROM --platform=$BUILDPLATFORM",
    ),
}


@pytest.fixture(scope="module")
def root() -> Iterator[Account]:
    with root_account() as account:
        yield account


@pytest.mark.parametrize(("dockerfile", "message", "hint"), REFUSED.values(), ids=REFUSED)
def test_what_would_take_files_of_the_machine_along_is_refused(
    pyoci: Installation, root: Account, dockerfile: str, message: str, hint: str
) -> None:
    shown = build(pyoci, root, dockerfile, status=1)
    assert message in shown
    assert hint in shown
    assert "--> Dockerfile:" in shown


@pytest.mark.parametrize(
    ("mode", "message"),
    [("chroot", "a stage that starts from host: cannot run here"), ("none", "this machine lets this user run no step")],
)
def test_modes_without_mounts_say_so(pyoci: Installation, root: Account, mode: str, message: str) -> None:
    dockerfile = "FROM golang AS a\nRUN true\nFROM scratch\nCOPY --from=a / /\n"
    shown = build(pyoci, root, dockerfile, "--isolation", mode, status=1)
    assert message in shown
    assert "pyoci doctor" in shown


@pytest.mark.parametrize("value", ["host:/etc", "host:relative", "host:/no/such/directory"])
def test_directories_that_cannot_be_shown(pyoci: Installation, root: Account, value: str) -> None:
    shown = build(pyoci, root, GO, host=("--build-context", f"golang={value}"), status=2)
    assert 'error: build context "golang": host:' in shown
