"""What config.toml says of the size of layers holds where layers are read, and nowhere else is it asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyoci.api.build import build
from pyoci.content.copy import copy_graph
from pyoci.content.layout import DirectoryLayout
from pyoci.content.memory import MemoryContent
from pyoci.errors import LayerError, UsageError
from pyoci.image import ImageConfig
from pyoci.platforms import Platform
from tests.builders import make_image, make_layer
from tests.unit.api.world import options_in

DOCKERFILE = "FROM scratch\nCOPY --from=base /big /small\n"


def build_from_a_layer(directory: Path, config: str) -> None:
    """Builds from a layout with a layer of 100 kB in two files."""
    content = MemoryContent()
    layer = make_layer({"big": b"1" * 50_000, "other": b"2" * 50_000})
    _, image = make_image([layer], ImageConfig(Platform("linux", "amd64")), content=content)
    layout = DirectoryLayout(directory / "layout")
    copy_graph(image.manifest.descriptor(), content, layout)
    layout.add_roots([image.manifest.descriptor()])
    settings = directory / ".config/pyoci/config.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(config)
    (directory / "Dockerfile").write_text(DOCKERFILE)
    contexts = {"base": f"oci-layout://{directory / 'layout'}"}
    build(directory, build_contexts=contexts, preflight="off", options=options_in(directory))


@pytest.mark.parametrize(
    ("config", "message", "setting"),
    [
        ("unpacked-size = 60_000", "more than 60000 bytes", "unpacked-size"),
        ("layer-entries = 1", "more than 1 entries", "layer-entries"),
        ("layer-metadata = 3", "have more than 3 bytes", "layer-metadata"),
    ],
)
def test_a_layer_beyond_a_limit_is_an_error_that_names_the_setting(
    config: str, message: str, setting: str, tmp_path: Path
) -> None:
    with pytest.raises(LayerError, match=message) as caught:
        build_from_a_layer(tmp_path, f"[limits]\n{config}\n")
    assert caught.value.hint == f"if a layer may be so, raise {setting} in the table [limits] of config.toml"


def test_a_layer_within_the_limits_is_read(tmp_path: Path) -> None:
    build_from_a_layer(tmp_path, "[limits]\nunpacked-size = '200KiB'\nlayer-entries = 2\n")


def test_a_limit_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"limits\.unpacked-ratio must be a whole number of at least 1"):
        build_from_a_layer(tmp_path, "[limits]\nunpacked-ratio = 0\n")
