"""What looks at images agrees with itself and with the kernel, whatever the layers say."""

from __future__ import annotations

import ctypes
import errno
import io
import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pyoci.errors import LayerError
from pyoci.image import ContainerConfig, Descriptor, ImageConfig
from pyoci.image.media_types import LAYER
from pyoci.inspection.config_diff import config_changes
from pyoci.inspection.files_diff import FileChange, file_changes
from pyoci.inspection.package_lists import apk_packages, dpkg_packages
from pyoci.inspection.paths import follow
from pyoci.inspection.printable import printable
from pyoci.inspection.rpm_database import header_package, rpm_packages
from pyoci.inspection.sizes import ImageSize, measure
from pyoci.inspection.treemap import treemap_html
from pyoci.layer.apply import ApplyPolicy, apply_layer
from pyoci.layer.directories import remove_tree
from pyoci.layer.index import index_layer
from pyoci.layer.tree import Tree
from pyoci.platforms import Platform
from tests.builders import BuiltLayer, make_image
from tests.stacks import STACKS, TarEntry, seen_in_tree, tars_of, tree_of_tars

OPENAT2, RESOLVE_IN_ROOT = 437, 0x10
LIBC = ctypes.CDLL(None, use_errno=True)


def tree_of(stack: list[list[TarEntry]]) -> Tree:
    try:
        return tree_of_tars(tars_of(stack))
    except LayerError:
        assume(False)
        raise


def measured(stack: list[list[TarEntry]]) -> tuple[ImageSize, Tree]:
    layers = []
    tars = tars_of(stack)
    tree = tree_of(stack)
    for data in tars:
        diff_id = index_layer(io.BytesIO(data), "none", diff_id=None).diff_id
        layers.append(BuiltLayer(data, Descriptor(LAYER, diff_id, len(data)), diff_id))
    return measure("image", make_image(layers)[1], tree), tree


@contextmanager
def unpacked(stack: list[list[TarEntry]]) -> Iterator[Path]:
    """The stack as a directory on disk, unpacked layer by layer."""
    root = Path(tempfile.mkdtemp(prefix="pyoci-test-"))
    parent = os.open(root.parent, os.O_RDONLY)
    descriptor = os.open(root, os.O_RDONLY)
    try:
        for data in tars_of(stack):
            apply_layer(io.BytesIO(data), descriptor, policy=ApplyPolicy("merge", "record", "record"))
        yield root
    finally:
        os.close(descriptor)
        remove_tree(root.name, parent)
        os.close(parent)


def kernel_follows(root: Path, path: str, *, follow_last: bool) -> str | int:
    """Where openat2 gets to with `root` for the root: a path in it, or the error's number."""
    flags = os.O_PATH | os.O_CLOEXEC | (0 if follow_last else os.O_NOFOLLOW)
    how = struct.pack("=QQQ", flags, 0, RESOLVE_IN_ROOT)
    directory = os.open(root, os.O_PATH | os.O_CLOEXEC)
    try:
        found = LIBC.syscall(OPENAT2, directory, os.fsencode(path), how, len(how))
        if found < 0:
            return ctypes.get_errno()
        try:
            real = Path(f"/proc/self/fd/{found}").readlink()
        finally:
            os.close(found)
        return "/" + ("" if real == root else real.relative_to(root).as_posix())
    finally:
        os.close(directory)


@given(STACKS)
def test_an_image_is_the_same_as_itself(stack: list[list[TarEntry]]) -> None:
    assert list(file_changes(tree_of(stack), tree_of(stack), times=True)) == []


def turned(change: FileChange) -> FileChange:
    return FileChange(change.path, change.after, change.before, change.changed)


@given(STACKS, STACKS)
def test_a_difference_turned_round_is_the_difference_the_other_way(
    one: list[list[TarEntry]], other: list[list[TarEntry]]
) -> None:
    there, back = tree_of(one), tree_of(other)
    assert [turned(each) for each in file_changes(there, back)] == list(file_changes(back, there))


@given(STACKS, STACKS)
def test_a_difference_is_what_is_seen_to_differ(one: list[list[TarEntry]], other: list[list[TarEntry]]) -> None:
    left, right = tree_of(one), tree_of(other)
    before, after = seen_in_tree(left), seen_in_tree(right)
    found = {change.path[1:]: change.kind for change in file_changes(left, right)}
    found.pop("", None)  # the root itself, which nothing else lists
    assert found == {
        path: "added" if path not in before else "removed" if path not in after else "changed"
        for path in before.keys() | after.keys()
        if before.get(path) != after.get(path)
    }


@given(STACKS)
def test_all_bytes_of_the_layers_are_in_sight_or_wasted(stack: list[list[TarEntry]]) -> None:
    size, _ = measured(stack)
    assert size.size == size.visible_size + size.wasted_size
    assert size.directories()["/"] == size.visible_size
    for layer in size.layers:
        in_sight = sum(file.size for file in size.files if file.layer == layer.number)
        assert layer.size == in_sight + layer.wasted_size
    assert all(file.layer < file.hidden_by < len(size.layers) for file in size.wasted)


@given(STACKS)
@settings(max_examples=50)
def test_the_bytes_in_sight_are_those_on_disk(stack: list[list[TarEntry]]) -> None:
    size, _ = measured(stack)
    with unpacked(stack) as root:
        inodes = {}
        for path in root.rglob("*"):
            with suppress(FileNotFoundError):
                status = path.lstat()
                if path.is_file() and not path.is_symlink():
                    inodes[status.st_ino] = status.st_size
    assert size.visible_size == sum(inodes.values())


@given(STACKS, st.lists(st.sampled_from(["a", "b", "ab", "..", ".", ""]), max_size=5).map("/".join), st.booleans())
@settings(max_examples=60)
def test_paths_lead_where_the_kernel_goes(stack: list[list[TarEntry]], path: str, follow_last: bool) -> None:
    tree = tree_of(stack)
    with unpacked(stack) as root:
        judged = kernel_follows(root, f"/{path}", follow_last=follow_last)
    assume(judged not in (errno.ENOSYS, errno.EPERM))
    found = follow(tree, f"/{path}", follow_last=follow_last)
    assert (found.error or found.path) == judged


@given(STACKS)
@settings(max_examples=30)
def test_the_same_image_gives_the_same_page(stack: list[list[TarEntry]]) -> None:
    assert treemap_html(measured(stack)[0]) == treemap_html(measured(stack)[0])


@given(st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape")))
def test_whatever_is_shown_can_be_shown(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    shown.encode()


@given(st.binary(max_size=200))
def test_hostile_package_databases_only_fail_as_they_should(raw: bytes) -> None:
    text = raw.decode("utf-8", "surrogateescape")
    assert isinstance(dpkg_packages(text), dict)
    assert isinstance(apk_packages(text), dict)
    with suppress(ValueError):
        header_package(raw)


CONFIGS = st.builds(
    lambda env, labels, cmd, user, ports, extra: ImageConfig(
        Platform("linux", "amd64"),
        ContainerConfig(
            env=tuple(f"{name}={value}" for name, value in env.items()),
            labels=labels,
            cmd=cmd,
            user=user,
            exposed_ports=tuple(sorted(ports)),
            extra=extra,
        ),
    ),
    st.dictionaries(st.sampled_from("ABC"), st.text(max_size=2), max_size=3),
    st.dictionaries(st.sampled_from("abc"), st.text(max_size=2), max_size=3),
    st.none() | st.lists(st.text(max_size=2), max_size=2).map(tuple),
    st.sampled_from(["", "1", "web"]),
    st.sets(st.sampled_from(["80/tcp", "443/tcp"])),
    st.dictionaries(st.sampled_from("XY"), st.none() | st.booleans() | st.text(max_size=1), max_size=2),
)


@given(CONFIGS, CONFIGS)
def test_configs_differ_both_ways_or_not_at_all(one: ImageConfig, other: ImageConfig) -> None:
    there, back = list(config_changes(one, other)), list(config_changes(other, one))
    assert [(each.field, each.key, each.after, each.before) for each in there] == [
        (each.field, each.key, each.before, each.after) for each in back
    ]
    assert list(config_changes(one, one)) == []

    def meant(config: ImageConfig) -> object:
        given = config.config
        return sorted(given.env), dict(given.labels), given.cmd, given.user, given.exposed_ports, dict(given.extra)

    assert bool(there) == (meant(one) != meant(other))


@given(st.text("Package:StusVrion install \n-", max_size=80))
def test_any_stanzas_are_read(text: str) -> None:
    assert isinstance(dpkg_packages(text), dict)
    assert isinstance(dpkg_packages(f"Package: a\nVersion: 1\nStatus:{text}"), dict)


@given(st.binary(max_size=400))
def test_hostile_rpm_databases_only_fail_as_they_should(raw: bytes) -> None:
    from pyoci.errors import ContentError

    with suppress(ContentError):
        rpm_packages(b"SQLite format 3\0" + raw)
