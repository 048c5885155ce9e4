from __future__ import annotations

import shutil
from pathlib import Path

from benchmark.machine import file_system_of
from benchmark.measure import PAGE, TICKS, Processes, last_line, loopback_bytes


def process(proc: Path, pid: int, parent: int, *, ticks: int = 0, rss_pages: int = 0, pss_kilobytes: int = 0) -> None:
    """As proc(5) has it: the state and the parent behind the name, four times from the 14th field on."""
    (proc / str(pid)).mkdir(parents=True)
    (proc / str(pid) / "stat").write_text(f"{pid} (a ) 9 (b) S {parent} 0 0 0 0 0 0 0 0 0 {ticks} 0 {ticks} 0 20 0 1\n")
    (proc / str(pid) / "statm").write_text(f"9999 {rss_pages} 1 1 0 1 0\n")
    (proc / str(pid) / "smaps_rollup").write_text(f"0-1 ---p 0 00:00 0 [rollup]\nRss: 1 kB\nPss: {pss_kilobytes} kB\n")


def test_descendants_of_the_roots_and_orphans_of_the_reaper_belong(tmp_path: Path) -> None:
    for pid, parent in ((1, 0), (10, 1), (20, 10), (21, 20), (30, 10), (31, 30), (40, 10), (50, 1)):
        process(tmp_path, pid, parent)
    found = Processes({20}, reaper=10, strangers={30}, proc=tmp_path)
    assert found.members() == [20, 21, 40]  # 40 has fallen to the reaper; 30 and 31 serve another


def test_a_child_that_is_numbered_below_its_parent_belongs(tmp_path: Path) -> None:
    process(tmp_path, 1, 0)
    process(tmp_path, 900, 1)
    process(tmp_path, 5, 899)
    process(tmp_path, 899, 900)
    assert Processes({900}, reaper=-1, strangers=(), proc=tmp_path).members() == [5, 899, 900]


def test_who_belonged_stays_when_its_parent_ends(tmp_path: Path) -> None:
    for pid, parent in ((1, 0), (20, 1), (21, 20), (22, 21)):
        process(tmp_path, pid, parent)
    found = Processes({20}, reaper=-1, strangers=(), proc=tmp_path)
    assert found.members() == [20, 21, 22]
    shutil.rmtree(tmp_path / "21")
    shutil.rmtree(tmp_path / "22")
    process(tmp_path, 22, 1)
    assert found.members() == [20, 22]


def test_cpu_time_is_that_of_the_processes_and_of_those_they_waited_for(tmp_path: Path) -> None:
    process(tmp_path, 20, 0, ticks=TICKS)
    process(tmp_path, 21, 20, ticks=2 * TICKS)
    assert Processes({20}, reaper=-1, strangers=(), proc=tmp_path).cpu_seconds() == 6.0


def test_memory_is_the_proportional_sum_and_is_not_read_where_it_cannot_be_a_peak(tmp_path: Path) -> None:
    process(tmp_path, 20, 0, rss_pages=100, pss_kilobytes=80)
    process(tmp_path, 21, 20, rss_pages=100, pss_kilobytes=70)
    found = Processes({20}, reaper=-1, strangers=(), proc=tmp_path)
    assert found.memory_bytes(above=0) == 150 * 1024
    assert found.memory_bytes(above=200 * PAGE) == 0


def test_what_loopback_sent_is_the_ninth_counter() -> None:
    head = (
        "Inter-|   Receive  |  Transmit\n face |bytes packets errs drop fifo frame compressed multicast|bytes packets\n"
    )
    text = head + "  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n    lo: 501 2 0 0 0 0 0 0 502 2 0 0 0 0 0 0\n"
    assert loopback_bytes(text) == 502


def test_the_last_line_is_the_one_that_says_what_is_wrong(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"step 1\nERROR: \x1b[1mno space\nhint: make some\n\n")
    assert last_line(log) == "ERROR: [1mno space"
    log.write_bytes(b"step 1\nno space left\n")
    assert last_line(log) == "no space left"


def test_the_file_system_is_that_of_the_innermost_mount() -> None:
    mounts = "a / ext4 rw 0 0\nb /home tmpfs rw 0 0\nc /homestead xfs rw 0 0\nd /home/me btrfs rw 0 0\n"
    assert file_system_of(Path("/home/me/x"), mounts) == "btrfs"
    assert file_system_of(Path("/home/you"), mounts) == "tmpfs"
    assert file_system_of(Path("/srv"), mounts) == "ext4"
