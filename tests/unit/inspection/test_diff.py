from __future__ import annotations

from dataclasses import replace

from pyoci.image import ContainerConfig, Healthcheck, ImageConfig
from pyoci.inspection.config_diff import ConfigChange, config_changes
from pyoci.inspection.files_diff import file_changes
from pyoci.inspection.layers_diff import layer_pairs
from pyoci.layer.tree import Tree
from pyoci.platforms import Platform
from tests.builders import AMD64, device, directory, file, hardlink, make_image, make_layer, removed, symlink
from tests.unit.inspection.seen import tree_of


def told(before: Tree, after: Tree, *, times: bool = False) -> list[tuple[str, str, str]]:
    return [(each.kind, each.path, " ".join(each.changed)) for each in file_changes(before, after, times=times)]


def test_every_aspect_of_a_file() -> None:
    before = tree_of(
        {
            "content": b"one",
            "dev": device("char", 1, 3),
            "gone": b"",
            "link": symlink("a"),
            "mode": file(b"x"),
            "owner": file(b"x"),
            "same": b"same",
            "size": b"1",
            "time": file(b"x", mtime=1),
            "type": b"",
            "xattrs": file(b"x"),
        }
    )
    after = tree_of(
        {
            "content": b"two",
            "dev": device("char", 1, 5),
            "link": symlink("b"),
            "mode": file(b"x", mode=0o4755),
            "new": directory(),
            "owner": file(b"x", uid=1),
            "same": b"same",
            "size": b"22",
            "time": file(b"x", mtime=2),
            "type": directory(mode=0o644),
            "xattrs": file(b"x", xattrs={"security.capability": b"\1"}),
        }
    )
    assert told(before, after) == [
        ("changed", "/content", "content"),
        ("changed", "/dev", "device"),
        ("removed", "/gone", ""),
        ("changed", "/link", "link"),
        ("changed", "/mode", "mode"),
        ("added", "/new", ""),
        ("changed", "/owner", "owner"),
        ("changed", "/size", "size content"),
        ("changed", "/type", "type"),
        ("changed", "/xattrs", "xattrs"),
    ]
    assert ("changed", "/time", "mtime") in told(before, after, times=True)


def test_what_is_below_comes_with_its_directory_and_in_its_order() -> None:
    before, after = tree_of({"a/b": b"", "a-c": b""}), tree_of({"a/c": b"", "a-c": b"1", "a/b": b""})
    assert told(before, after) == [("added", "/a/c", ""), ("changed", "/a-c", "size content")]
    assert told(tree_of({"d/e/f": b""}), tree_of({"x": b""})) == [
        ("removed", "/d", ""),
        ("removed", "/d/e", ""),
        ("removed", "/d/e/f", ""),
        ("added", "/x", ""),
    ]


def test_how_layers_are_cut_makes_no_difference() -> None:
    one = tree_of({"a": b"1", "b": hardlink("a"), "c": b"3"})
    many = tree_of({"a": b"old", "x": b""}, {"a": b"1", "x": removed()}, {"b": b"1"}, {"c": b"3"})
    assert told(one, many) == []


def test_the_root_itself_never_differs() -> None:
    """No engine that unpacks as containerd does makes anything of what a layer says of it."""
    assert told(tree_of({"": directory(mode=0o700)}), tree_of({"": directory()})) == []


def test_configs_differ_field_by_field() -> None:
    before = ImageConfig(
        AMD64,
        ContainerConfig(
            env=("PATH=/bin", "OLD=1", "SAME=1"),
            cmd=("run",),
            labels={"a": "1", "b": "2"},
            exposed_ports=("80/tcp",),
            volumes=("/data",),
            user="root",
            extra={"Unknown": 1},
        ),
        created="2024-01-01T00:00:00Z",
    )
    after = ImageConfig(
        Platform("linux", "arm64"),
        ContainerConfig(
            env=("SAME=1", "PATH=/usr/bin", "NEW="),
            cmd=("run", "all"),
            entrypoint=("/e",),
            labels={"b": "3", "a": "1"},
            exposed_ports=("443/tcp", "80/tcp"),
            working_dir="/w",
            stop_signal="SIGINT",
            shell=("/bin/bash", "-c"),
            healthcheck=Healthcheck(("CMD", "x"), retries=3),
            on_build=("RUN x",),
        ),
        created="2025-01-01T00:00:00Z",
    )
    assert list(config_changes(before, after)) == [
        ConfigChange("Platform", "", "linux/amd64", "linux/arm64"),
        ConfigChange("User", "", "root", None),
        ConfigChange("ExposedPorts", "443/tcp", None, ""),
        ConfigChange("Env", "NEW", None, ""),
        ConfigChange("Env", "OLD", "1", None),
        ConfigChange("Env", "PATH", "/bin", "/usr/bin"),
        ConfigChange("Entrypoint", "", None, '["/e"]'),
        ConfigChange("Cmd", "", '["run"]', '["run", "all"]'),
        ConfigChange("Volumes", "/data", "", None),
        ConfigChange("WorkingDir", "", None, "/w"),
        ConfigChange("Labels", "b", "2", "3"),
        ConfigChange("StopSignal", "", None, "SIGINT"),
        ConfigChange("Healthcheck", "", None, '{"test": ["CMD", "x"], "retries": 3}'),
        ConfigChange("Shell", "", None, '["/bin/bash", "-c"]'),
        ConfigChange("OnBuild", "", None, '["RUN x"]'),
        ConfigChange("Config", "Unknown", "1", None),
    ]
    assert list(config_changes(before, before)) == []
    assert list(config_changes(before, replace(before, created=None), times=True)) == [
        ConfigChange("Created", "", "2024-01-01T00:00:00Z", None)
    ]


def test_an_empty_entrypoint_is_not_a_missing_one() -> None:
    one, other = ImageConfig(AMD64), ImageConfig(AMD64, ContainerConfig(entrypoint=()))
    assert list(config_changes(one, other)) == [ConfigChange("Entrypoint", "", None, "[]")]


def test_layers_are_shared_however_they_are_compressed() -> None:
    base, mine, theirs, top = ({name: name.encode()} for name in ("base", "mine", "theirs", "top"))
    one = make_image([make_layer(base), make_layer(mine), make_layer(top)])[1]
    other = make_image([make_layer(base, compression="zstd"), make_layer(theirs), make_layer(top)])[1]
    assert [
        (pair.before_number, pair.after_number, pair.is_shared, pair.is_same_blob) for pair in layer_pairs(one, other)
    ] == [(0, 0, True, False), (1, -1, False, False), (-1, 1, False, False), (2, 2, True, True)]


def test_a_layer_that_is_there_twice_is_paired_once() -> None:
    layer = make_layer({"a": b"1"})
    once, twice = make_image([layer])[1], make_image([layer, layer])[1]
    assert [(pair.before_number, pair.after_number) for pair in layer_pairs(once, twice)] == [(0, 0), (-1, 1)]
    assert [(pair.before_number, pair.after_number) for pair in layer_pairs(twice, once)] == [(0, 0), (1, -1)]
