"""Cgroups of both versions, in directories that look like them: what is written where.

The rules are those of cgroups(7): a process enters by `cgroup.procs`, controllers are handed down by `subtree_control`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from pyoci.sandbox import cgroups
from pyoci.sandbox.failure import Failure
from pyoci.sandbox.messages import LimitsMessage


def limits(memory_bytes: int = 0, pids: int = 0, cgroup_parent: str = "") -> LimitsMessage:
    return {
        "ulimits": [],
        "shm_bytes": 0,
        "memory_bytes": memory_bytes,
        "pids": pids,
        "cgroup_parent": cgroup_parent,
    }


class Hierarchy:
    """A version 2 hierarchy whose root nobody may write to, and a delegated cgroup in it."""

    def __init__(self, top: Path, *, controllers: str = "cpu memory pids", root_is_writable: bool = False) -> None:
        self.mountpoint = top / "cgroup"
        self.own = self.mountpoint / "user.slice/run.scope"
        self.own.mkdir(parents=True)
        for directory in (self.mountpoint, self.own):
            (directory / "cgroup.controllers").write_text(controllers)
            (directory / "cgroup.subtree_control").write_text("")
            (directory / "cgroup.procs").write_text("")
        if not root_is_writable:
            (self.mountpoint / "cgroup.subtree_control").unlink()
        self.process = top / "process"
        self.process.mkdir()
        (self.process / "mounts").write_text(
            f"proc /proc proc rw 0 0\ncgroup2 {self.mountpoint} cgroup2 rw,nosuid 0 0\n"
        )
        (self.process / "cgroup").write_text("0::/user.slice/run.scope\n")

    def make(self, wanted: LimitsMessage) -> cgroups.Cgroup:
        return cgroups.make(wanted, str(self.process))


def made_in(directory: Path) -> list[Path]:
    return [path for path in directory.iterdir() if path.name.startswith("pyoci-")]


def test_nothing_is_made_where_nothing_is_asked_for(tmp_path: Path) -> None:
    hierarchy = Hierarchy(tmp_path)
    cgroup = hierarchy.make(limits())
    cgroup.enter(1)
    assert not cgroup.ran_out_of_memory()
    cgroup.remove()
    assert made_in(hierarchy.own) == []


def test_version_2_below_ones_own(tmp_path: Path) -> None:
    hierarchy = Hierarchy(tmp_path)
    cgroup = hierarchy.make(limits(memory_bytes=1 << 20, pids=5))
    (made,) = made_in(hierarchy.own)
    assert (made / "memory.max").read_text() == str(1 << 20)
    assert (made / "pids.max").read_text() == "5"
    assert (hierarchy.own / "cgroup.subtree_control").read_text().startswith("+pids")  # the last that was written
    cgroup.enter(4711)
    assert (made / "cgroup.procs").read_text() == "4711"
    (made / "memory.events").write_text("low 0\noom 1\noom_kill 0\n")
    assert not cgroup.ran_out_of_memory()
    (made / "memory.events").write_text("low 0\noom 1\noom_kill 2\n")
    assert cgroup.ran_out_of_memory()


def test_version_2_below_the_root_where_it_may_be_written_to(tmp_path: Path) -> None:
    hierarchy = Hierarchy(tmp_path, root_is_writable=True)
    hierarchy.make(limits(pids=5))
    assert len(made_in(hierarchy.mountpoint)) == 1
    assert made_in(hierarchy.own) == []


def test_a_parent_that_was_named(tmp_path: Path) -> None:
    hierarchy = Hierarchy(tmp_path)
    parent = hierarchy.mountpoint / "builds"
    parent.mkdir()
    (parent / "cgroup.subtree_control").write_text("memory pids")
    hierarchy.make(limits(pids=5, cgroup_parent="builds/"))
    assert [(path / "pids.max").read_text() for path in made_in(parent)] == ["5"]


def test_controllers_that_are_missing(tmp_path: Path) -> None:
    hierarchy = Hierarchy(tmp_path, controllers="cpu")
    with pytest.raises(Failure, match="no cgroup can limit memory and pids on this machine") as raised:
        hierarchy.make(limits(memory_bytes=1, pids=1))
    assert "Delegate=yes" in raised.value.hint


def test_version_1(tmp_path: Path) -> None:
    process = tmp_path / "process"
    process.mkdir()
    mounts = ""
    for controller in ("memory", "pids"):
        (tmp_path / controller / "own").mkdir(parents=True)
        mounts += f"cgroup {tmp_path / controller} cgroup rw,relatime,{controller} 0 0\n"
    (process / "mounts").write_text(mounts + f"cgroup2 {tmp_path} cgroup2 rw 0 0\n")
    (process / "cgroup").write_text("8:pids:/own\n4:memory:/own\n0::/\n")
    cgroup = cgroups.make(limits(memory_bytes=1 << 20, pids=7), str(process))
    (memory,), (pids,) = (made_in(tmp_path / name / "own") for name in ("memory", "pids"))
    assert (memory / "memory.limit_in_bytes").read_text() == str(1 << 20)
    assert (pids / "pids.max").read_text() == "7"
    cgroup.enter(4711)
    assert (memory / "cgroup.procs").read_text() == (pids / "cgroup.procs").read_text() == "4711"
    (memory / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    assert cgroup.ran_out_of_memory()
