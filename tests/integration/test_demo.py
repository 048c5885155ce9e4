"""script/demo in a fresh clone, by root and by an ordinary user: it works, a second run is cached, the image is one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.accounts import ROOT, SBIN, Account, Installation
from tests.integration.test_article import KINDS

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_userns]


def clone(account: Account) -> Path:
    """What git keeps, as it is now, owned by the account."""
    copy = account.home / "pyoci"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, timeout=60, check=True)
    for name in map(os.fsdecode, listed.stdout.rstrip(b"\0").split(b"\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    for path in (copy, *copy.rglob("*")):
        os.chown(path, account.uid, account.gid)
    return copy


def demo(account: Account, directory: Path, python: str) -> str:
    keep = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "REQUESTS_"))}
    result = subprocess.run(
        [directory / "script/demo"],
        env={**keep, "PATH": SBIN, "HOME": str(account.home), "PYTHON": python},
        cwd=account.home,
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


def image_ids(output: str) -> dict[str, str]:
    """IDs by tag, from the table at the end."""
    return dict(re.findall(r"^goapp +(\S+) +(\w{12}) ", output, re.MULTILINE))


def steps(output: str) -> tuple[int, int]:
    """How many build steps there were, and how many of them came from the cache (plain progress)."""
    ended = re.findall(r"^#\d+ (CACHED|DONE)", output, re.MULTILINE)
    return len(ended), ended.count("CACHED")


@pytest.mark.timeout(1200)
def test_the_demo_works_for_everybody_and_makes_one_image(pyoci: Installation) -> None:
    found: dict[str, dict[str, str]] = {}
    for kind in ("root", "single"):
        with KINDS[kind]() as account:
            directory = clone(account)
            first = demo(account, directory, pyoci.python)
            assert first.count("user: root id: 0\n") == 3
            assert (directory / ".demo/goapp.tar").is_file()
            second = demo(account, directory, pyoci.python)
            found[kind] = image_ids(second)
            assert found[kind] == image_ids(first)
            done, cached = steps(second)
            assert done == cached > 0
    assert set(found["root"]) == {"latest", "one-stage"}
    assert {ids["latest"] for ids in found.values()} == {found["root"]["latest"]}
