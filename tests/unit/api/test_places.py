"""How places of images are written, and what those say who write them as other programs do."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyoci.api.places import ArchivePlace, LayoutPlace, Place, RegistryPlace, StorePlace, parse_place
from pyoci.errors import UsageError
from pyoci.reference import parse_reference
from tests.unit.api.world import options_in

SHA = "sha256:" + "ab" * 32
HERE = Path("/here")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("app", RegistryPlace(parse_reference("docker.io/library/app:latest"))),
        ("localhost:5000/team/app:1", RegistryPlace(parse_reference("localhost:5000/team/app:1"))),
        (f"r.example/app@{SHA}", RegistryPlace(parse_reference(f"r.example/app@{SHA}"))),
        ("store:app", StorePlace("app")),
        ("store:localhost:5000/app:1", StorePlace("localhost:5000/app:1")),
        ("oci-layout:out", LayoutPlace(HERE / "out", "")),
        ("oci-layout:/abs/out:1.0", LayoutPlace(Path("/abs/out"), "1.0")),
        ("oci-layout:///abs/out:1.0", LayoutPlace(Path("/abs/out"), "1.0")),
        (f"oci-layout:out@{SHA}", LayoutPlace(HERE / "out", f"@{SHA}")),
        ("oci-archive:a.tar:localhost:5000/app:1", ArchivePlace(HERE / "a.tar", "localhost:5000/app:1", "oci")),
        ("docker-archive:a.tar:app:1", ArchivePlace(HERE / "a.tar", "app:1", "docker")),
        ("docker-archive:../a.tar", ArchivePlace(HERE / "../a.tar", "", "docker")),
    ],
)
def test_places(text: str, place: Place) -> None:
    assert parse_place(text, options_in(HERE).environment) == place


def test_a_path_with_a_colon_is_taken_whole_where_it_is_there(tmp_path: Path) -> None:
    (tmp_path / "a:b").mkdir()
    environment = options_in(tmp_path).environment
    assert parse_place("oci-layout:a:b", environment) == LayoutPlace(tmp_path / "a:b", "")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("docker://app", "write the name alone"),
        ("oci:out", "write oci-layout:DIR[:NAME]"),
        ("containers-storage:app", "write store:NAME for the store of pyoci"),
        ("docker-daemon:app", "write docker-archive:FILE, and give the file to docker load"),
        ("store:", "write store:NAME"),
        ("oci-archive:", "write oci-archive:PATH"),
        ("oci-layout::1", "write oci-layout:PATH[:NAME]"),
    ],
)
def test_what_is_no_place_is_told_how_it_would_be_written(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_place(text, options_in(HERE).environment)
    assert caught.value.hint == hint
