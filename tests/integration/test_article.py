"""The article's two Dockerfiles, built for real: apt-get in RUN, one stage against two, by three kinds of users."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.integration.accounts import ROOT, Account, Installation, root_account, temporary_account
from tests.integration.real.registry import real_registry

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_registry, pytest.mark.needs_apt]

KINDS: dict[str, Callable[[], AbstractContextManager[Account]]] = {
    "root": root_account,
    "subuid": lambda: temporary_account(subordinate_ids=True),
    "single": lambda: temporary_account(subordinate_ids=False),
}

UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}


@pytest.fixture(scope="module")
def public_images(
    pyoci: Installation, debian_tar: Path, busybox_tar: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """Stand-ins for `ubuntu` and `alpine` in a registry, put there by pyoci, as values of --build-context."""
    with real_registry(tmp_path_factory.mktemp("registry")) as registry, root_account() as account:
        images = {}
        for name, tar in {"ubuntu": debian_tar, "alpine": busybox_tar}.items():
            context = account.home / name
            context.mkdir()
            shutil.copy(tar, context / "rootfs.tar")
            (context / "Dockerfile").write_text('FROM scratch\nADD rootfs.tar /\nCMD ["/bin/sh"]\n')
            reference = f"{registry.host}/library/{name}:latest"
            pushed = pyoci.run(account, "build", "-t", reference, "--push", str(context))
            assert pushed.returncode == 0, pushed.stderr
            images[name] = f"docker-image://{reference}"
        yield images


@contextmanager
def article(account: Account) -> Iterator[Path]:
    """The example's directory, where the account may read it."""
    copy = account.home / "goapp"
    shutil.copytree(ROOT / "examples/goapp", copy)
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    yield copy


def size_bytes(pyoci: Installation, account: Account, reference: str) -> int:
    """What `pyoci images` says an image takes."""
    repository, _, tag = reference.partition(":")
    listed = pyoci.run(account, "images")
    found = re.search(rf"^{repository} +{tag} .* ([\d.]+)([kMG]?B)$", listed.stdout, re.MULTILINE)
    assert found, listed.stdout
    return int(float(found[1]) * UNITS[found[2]])


def first_words(pyoci: Installation, account: Account, reference: str) -> str:
    """The first line that a running image prints; then it is ended."""
    process = subprocess.Popen(
        pyoci.command("run", "--rm", reference),
        env=pyoci.environment(account),
        cwd=account.home,
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.terminate()
        process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    return line


@pytest.mark.needs_userns
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", KINDS)
def test_two_stages_make_the_small_image_that_runs_the_same(
    kind: str, pyoci: Installation, public_images: dict[str, str], record_property: Callable[[str, object], None]
) -> None:
    contexts = [word for name, image in public_images.items() for word in ("--build-context", f"{name}={image}")]
    with KINDS[kind]() as account, article(account) as directory:
        outputs = {}
        for variant in ("one-stage", "multi-stage"):
            built = pyoci.run(
                account,
                *("build", "--progress", "plain", "-t", f"article:{variant}", *contexts),
                *("-f", str(directory / f"article/Dockerfile.{variant}"), str(directory)),
                timeout_seconds=800,
            )
            assert built.returncode == 0, built.stderr
            outputs[variant] = built.stderr
        # Both have the same first steps, so the compiler is installed once.
        assert "CACHED" not in outputs["one-stage"]
        assert outputs["multi-stage"].count("CACHED") >= 3
        for variant in outputs:
            assert first_words(pyoci, account, f"article:{variant}") == "user: root id: 0\n"
        large, small = (size_bytes(pyoci, account, f"article:{variant}") for variant in outputs)
    record_property("measured", f"one stage {large / 1e6:.0f} MB, two stages {small / 1e6:.2f} MB")
    assert small < 10e6
    assert large > 500e6


def test_comments_behind_instructions_are_explained_one_by_one(pyoci: Installation) -> None:
    """Whoever does what each hint says, and no more, gets to a file without that fault."""
    with root_account() as account, article(account) as directory:
        faulty = directory / "article/Dockerfile.comments"
        empty = account.home / "empty"
        empty.mkdir()
        (empty / "Dockerfile").write_text("FROM scratch\nENV none=0\n")
        base = pyoci.run(account, "build", "-q", "-t", "localhost/empty", str(empty))
        assert base.returncode == 0, base.stderr
        images = [f"{name}=docker-image://localhost/empty" for name in ("ubuntu", "alpine")]
        command = ["build", "-f", str(faulty), *(word for image in images for word in ("--build-context", image))]
        explained = []
        while "a comment cannot stand behind" in (error := pyoci.run(account, *command, str(directory)).stderr):
            place = re.search(r"Dockerfile.comments:(\d+):(\d+)$", error, re.MULTILINE)
            assert place, error
            assert "^^^" in error
            number, column = int(place[1]) - 1, int(place[2]) - 1
            lines = faulty.read_text().splitlines()
            instruction, comment = lines[number][:column].rstrip(), lines[number][column:]
            assert f'hint: put "{comment}" on a line of its own' in error
            lines[number : number + 1] = [comment, instruction]
            faulty.write_text("\n".join(lines) + "\n")
            explained.append(instruction)
            assert len(explained) < 10
    # The one behind RUN is the shell's, and legal; so the command is what fails now, in an image without a shell.
    assert explained == ["FROM alpine", "COPY app.go ."]
    assert "Traceback" not in error
    assert "/bin/sh" in error
