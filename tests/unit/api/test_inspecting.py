"""Looking into images wherever they are: which bytes are fetched for it, and what is found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pyoci.api.diff import diff
from pyoci.api.files import list_files, read_file
from pyoci.api.history import history
from pyoci.api.services import Options
from pyoci.api.size import size
from pyoci.errors import ContentNotFound, LayerError, UsageError
from pyoci.export.docker_archive import write_docker_archive
from pyoci.export.oci import write_oci_archive, write_oci_layout
from pyoci.export.roots import NamedRoot
from pyoci.platforms import Platform
from pyoci.reference import parse_reference
from tests.builders import BuiltLayer, Item, device, directory, file, hardlink, make_image, make_layer, removed, symlink
from tests.fakes.registry import FakeRegistry, fake_registry
from tests.unit.api.world import options_in

LAYERS: tuple[dict[str, Item], ...] = (
    {"etc/passwd": b"root:x:0:0::/:/bin/sh\n", "lib/big": b"x" * 100_000, "old": b"1"},
    {"old": removed(), "lib": directory(), "lib/link": symlink("../srv/data")},
    {"srv/data": b"data", "srv/again": hardlink("srv/data"), "dev/null": device("char", 1, 3)},
)
BUILT = [make_layer(layer) for layer in LAYERS]


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with fake_registry() as registry:
        put(registry, "1", *BUILT)
        yield registry


def put(registry: FakeRegistry, tag: str, *layers: BuiltLayer) -> None:
    _, image = make_image(layers)
    for layer in layers:
        registry.add_blob("team/app", layer.blob)
    registry.add_blob("team/app", image.config.raw)
    registry.add_manifest("team/app", image.manifest.raw, image.manifest.media_type, tag)


def fetched(registry: FakeRegistry) -> list[int]:
    """The layers that were asked for, by number, as often as they were."""
    numbers = {layer.descriptor.digest: number for number, layer in enumerate(BUILT)}
    asked = [seen.path.rpartition("/")[2] for seen in registry.requests("GET", "/blobs/")]
    return [numbers[digest] for digest in asked if digest in numbers]  # type: ignore[index]


@pytest.fixture
def options(tmp_path: Path, registry: FakeRegistry) -> Options:
    return options_in(tmp_path)


@pytest.fixture
def name(registry: FakeRegistry) -> str:
    return f"{registry.host}/team/app:1"


def test_history_fetches_no_layer_and_says_so(registry: FakeRegistry, name: str, options: Options) -> None:
    rows = history(name, options=options).rows
    assert [(row.created_by, row.size.is_compressed) for row in rows] == [
        ("layer 2", True),
        ("layer 1", True),
        ("layer 0", True),
    ]
    assert [row.size.size for row in rows] == [layer.descriptor.size for layer in reversed(BUILT)]
    assert fetched(registry) == []

    list_files(name, options=options)  # now they are here
    rows = history(name, options=options).rows
    assert [(row.size.size, row.size.is_compressed) for row in rows] == [(4, False), (0, False), (100_023, False)]


def test_a_file_is_looked_for_from_the_top(registry: FakeRegistry, name: str, options: Options) -> None:
    assert b"".join(read_file(name, "/srv/again", options=options)) == b"data"
    assert fetched(registry) == [2]
    assert b"".join(read_file(name, "lib/link", "/srv/data", options=options)) == b"datadata"
    assert fetched(registry) == [2, 1]
    assert b"".join(read_file(name, "/etc/passwd", options=options)).startswith(b"root:")
    assert fetched(registry) == [2, 1, 0]


def test_what_an_upper_layer_removed_is_not_found_below(name: str, options: Options) -> None:
    with pytest.raises(ContentNotFound, match='"/old" is not in'):
        list(read_file(name, "/old", options=options))


def test_only_files_have_contents(name: str, options: Options) -> None:
    for path, what in (("/srv", "a directory"), ("/dev/null", "a device")):
        with pytest.raises(UsageError, match=f'"{path}" is {what}'):
            list(read_file(name, path, options=options))


def test_every_path_is_looked_up_before_the_first_byte_comes(name: str, options: Options) -> None:
    pieces = read_file(name, "/srv/data", "/srv/dato", options=options)
    with pytest.raises(ContentNotFound) as caught:
        next(pieces)
    assert caught.value.hint == "did you mean /srv/data?"


def test_a_circle_of_links_ends(tmp_path: Path, registry: FakeRegistry, options: Options) -> None:
    put(registry, "loop", make_layer({"a": symlink("b"), "b": symlink("a")}))
    with pytest.raises(LayerError, match="more than 40 symbolic links"):
        list(read_file(f"{registry.host}/team/app:loop", "/a/x", options=options))


def test_the_same_layers_are_not_fetched_to_compare_them(registry: FakeRegistry, name: str, options: Options) -> None:
    registry.add_manifest("team/app", make_image(BUILT)[1].manifest.raw, make_image(BUILT)[1].manifest.media_type, "2")
    found = diff(name, f"{registry.host}/team/app:2", options=options)
    assert not found.is_different
    assert all(pair.is_same_blob for pair in found.layers)
    assert fetched(registry) == []


def test_layers_that_two_images_share_are_fetched_once(registry: FakeRegistry, name: str, options: Options) -> None:
    put(registry, "2", BUILT[0], make_layer({"old": file(b"1", mode=0o600)}))
    found = diff(name, f"{registry.host}/team/app:2", options=options)
    assert sorted(fetched(registry)) == [0, 1, 2]
    assert [(change.kind, change.path) for change in found.files] == [
        ("removed", "/dev"),
        ("removed", "/dev/null"),
        ("removed", "/lib/link"),
        ("added", "/old"),
        ("removed", "/srv"),
        ("removed", "/srv/again"),
        ("removed", "/srv/data"),
    ]
    assert [pair.is_shared for pair in found.layers] == [True, False, False, False]


@pytest.mark.parametrize("kind", ["oci-layout:", "oci-layout://", "oci-archive:", "docker-archive:", "store:"])
def test_an_image_is_found_wherever_it_is(kind: str, tmp_path: Path) -> None:
    options = options_in(tmp_path)
    content, image = make_image(BUILT)
    roots = [NamedRoot(image.manifest.descriptor(), (parse_reference("team/app:1"),))]
    place = tmp_path / "image"
    if kind.startswith("oci-layout"):
        write_oci_layout(roots, content, place)
    elif kind == "store:":
        from pyoci.api.transfer import load

        with place.open("wb") as out:
            write_oci_archive(roots, content, out)
        load(place, options=options)
    else:
        with place.open("wb") as out:
            if kind == "oci-archive:":
                write_oci_archive(roots, content, out)
            else:
                write_docker_archive(roots, content, out, platform=Platform("linux", "amd64"))
    names = ["store:team/app:1", "team/app:1"] if kind == "store:" else [f"{kind}{place}", f"{kind}{place}:team/app:1"]
    for name in names:
        assert b"".join(read_file(name, "/srv/data", options=options)) == b"data"
        assert [found.path for found in list_files(name, "/srv", options=options)] == ["/srv/again", "/srv/data"]
        rows = history(name, options=options).rows
        assert [(row.size.size, row.size.is_compressed) for row in rows][-1] == (100_023, False)
        report = size(name, options=options)
        assert report.image.wasted_size == 1
        assert report.breaches == ()


def test_budgets_are_read_as_people_write_them(name: str, options: Options) -> None:
    def over(limit: str) -> bool:
        return bool(size(name, max_size=limit, options=options).breaches)

    # 100,027 bytes of files: a kB has 1000 bytes, a KiB 1024
    assert [over(limit) for limit in ("100027", "100026", "100.03kB", "100kB", "98KiB", "97 KiB", "1MB", "0")] == [
        *(False, True),
        *(False, True),
        *(False, True),
        *(False, True),
    ]
    assert not size(name, max_size="100kB", compressed=True, options=options).breaches
    for wrong in ("big", "-1", "5%", "1.5.2MB"):
        with pytest.raises(UsageError, match="invalid size"):
            size(name, max_size=wrong, options=options)


def test_growth_is_held_against_another_image(registry: FakeRegistry, name: str, options: Options) -> None:
    put(registry, "2", *BUILT, make_layer({"new": b"x" * 5001}))
    grown = f"{registry.host}/team/app:2"

    def breaches(limit: str) -> list[tuple[str, int, int]]:
        report = size(grown, against=name, max_growth=limit, options=options)
        return [(each.limit, each.allowed, each.actual) for each in report.breaches]

    assert breaches("5%") == []
    assert breaches("4.9%") == [("4.9%", 4901, 5001)]
    assert breaches("5kB") == [("5kB", 5000, 5001)]
    report = size(grown, against=name, options=options)
    assert report.growth is not None
    assert [(path.path, path.change) for path in report.growth.paths] == [("/new", 5001)]
    assert size(name, against=grown, max_growth="0", options=options).breaches == ()
    with pytest.raises(UsageError, match="needs an image to grow from"):
        size(name, max_growth="5%", options=options)


def test_check_finds_the_config_of_an_image_in_a_registry(name: str, options: Options) -> None:
    """It used to ask the store for it."""
    from pyoci.api.check import check

    (checked,) = check(name, options=options)
    assert [found.rule for found in checked.findings] == ["NoCommand"]
