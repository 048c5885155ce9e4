from __future__ import annotations

from pyoci.image import History, ImageConfig
from pyoci.inspection.history import LayerBytes, history_rows
from tests.builders import AMD64
from tests.unit.inspection.seen import image_of


def test_layers_belong_to_what_made_them_in_order() -> None:
    told = (
        History(created_by="COPY a /", created="2024-05-01T10:00:00Z"),
        History(created_by="ENV A=1", empty_layer=True, comment="by hand"),
        History(created_by="COPY b /", author="me"),
    )
    image, _ = image_of({"a": b"1"}, {"b": b"22"}, config=ImageConfig(AMD64, history=told))
    sizes = {image.layers[0]: LayerBytes(1), image.layers[1]: LayerBytes(50, is_compressed=True)}
    rows = history_rows(image, lambda layer: sizes[layer])
    assert [(row.created_by, row.layer, row.size.size, row.empty_layer) for row in rows] == [
        ("COPY b /", 1, 50, False),
        ("ENV A=1", -1, 0, True),
        ("COPY a /", 0, 1, False),
    ]
    assert rows[0].size.is_compressed
    assert rows[0].author == "me"
    assert rows[1].comment == "by hand"
    assert rows[2].created == "2024-05-01T10:00:00Z"
    assert rows[2].digest == image.layers[0].descriptor.digest
    assert rows[2].diff_id == image.layers[0].diff_id


def test_a_layer_that_nothing_tells_about_has_a_row() -> None:
    image, _ = image_of({"a": b"1"}, {"b": b"2"})
    short = image.config.value.history[:1]
    from dataclasses import replace

    from pyoci.image import Image, encode_config

    config = encode_config(replace(image.config.value, history=short))
    rows = history_rows(Image(image.manifest, config), lambda _: LayerBytes(7))
    assert [(row.created_by, row.layer) for row in rows] == [("", 1), ("layer 0", 0)]


def test_a_history_that_tells_of_more_layers_than_there_are_invents_none() -> None:
    image, _ = image_of({"a": b"1"})
    from dataclasses import replace

    from pyoci.image import Image, encode_config

    told = (*image.config.value.history, History(created_by="RUN lies"))
    config = encode_config(replace(image.config.value, history=told))
    rows = history_rows(Image(image.manifest, config), lambda _: LayerBytes(7))
    assert [(row.created_by, row.layer, row.size.size) for row in rows] == [("RUN lies", -1, 0), ("layer 0", 0, 7)]
