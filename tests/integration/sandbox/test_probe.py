"""Probing this machine, and keeping what was found."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from pyoci.errors import SandboxError
from pyoci.sandbox.probe import Host, probe, probe_once
from tests.integration.accounts import SBIN

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_userns]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    storage = tmp_path / "storage"
    storage.mkdir()
    for name in ("subuid", "subgid"):
        (tmp_path / name).write_text("")
    return Host(0, 0, "root", SBIN, storage, tmp_path / "subuid", tmp_path / "subgid")


def test_what_is_tried_leaves_nothing(host: Host) -> None:
    found = probe(host)
    assert found.best == "root"
    assert list(host.storage.iterdir()) == []
    assert str(host.storage) not in Path("/proc/self/mountinfo").read_text()


def test_it_is_tried_once(host: Host, tmp_path: Path) -> None:
    kept = tmp_path / "capabilities.json"
    first = probe_once(host, kept)
    assert [path.name for path in tmp_path.iterdir() if "capabilities" in path.name] == ["capabilities.json"]
    # This interpreter does not exist: whoever starts it fails.
    assert probe_once(host, kept, interpreter=["/nonexistent"]) == first


def test_it_is_tried_again_when_something_has_changed(host: Host, tmp_path: Path) -> None:
    kept = tmp_path / "capabilities.json"
    probe_once(host, kept)
    os.utime(host.subuid, ns=(1, 1))
    for changed in (host, replace(host, user="other"), replace(host, path="/bin"), replace(host, uid=1)):
        with pytest.raises(SandboxError, match='cannot start "/nonexistent"'):
            probe_once(changed, kept, interpreter=["/nonexistent"])


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"key": 1}', '{"key": null, "capabilities": {}}'])
def test_what_was_kept_may_be_damaged(host: Host, tmp_path: Path, damage: str) -> None:
    kept = tmp_path / "capabilities.json"
    first = probe_once(host, kept)
    kept.write_text(damage)
    assert probe_once(host, kept) == first
    assert json.loads(kept.read_text())["capabilities"]["best"] == "root"


def test_it_need_not_be_kept(host: Host, tmp_path: Path) -> None:
    assert probe_once(host, tmp_path / "missing" / "capabilities.json").best == "root"


def test_a_probe_that_does_not_end(host: Host) -> None:
    with pytest.raises(SandboxError):
        probe(host, interpreter=["/bin/sleep"], timeout_seconds=1)
