"""Images of the store as the command line shows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyoci.api.build import build
from pyoci.api.images import images, inspect
from pyoci.api.services import Options
from pyoci.environment import Environment
from pyoci.platforms import Platform


@pytest.fixture
def options(tmp_path: Path) -> Options:
    environment = Environment(
        store=tmp_path / "store",
        working_directory=tmp_path,
        home=tmp_path,
        uid=0,
        gid=0,
        platform=Platform("linux", "amd64"),
        now=0,
    )
    return Options(environment=environment, offline=True)


@pytest.mark.parametrize("platforms", [("linux/arm64",), ("linux/arm64", "linux/s390x")])
def test_an_image_for_other_machines_is_listed_and_shown(
    tmp_path: Path, options: Options, platforms: tuple[str, ...]
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    built = build(str(tmp_path), tags=("other:1",), platforms=platforms, options=options)
    assert [(row.reference.familiar, row.root.digest) for row in images(options=options)] == [("other:1", built.digest)]
    assert inspect("other:1", options=options)["Architecture"] == "arm64"
