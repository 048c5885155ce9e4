from __future__ import annotations

import io
import json
import os
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from pyoci.layer.tree import Tree
from pyoci.preflight.findings import Finding
from pyoci.preflight.leak_forms import forms_of, is_searchable
from pyoci.preflight.leaks import find_leaks
from tests.builders import MemoryChanges, changes_of, file, make_image, make_layer, open_layers, symlink

TOKEN = b'ghp_"16C7e42F/292c+6912=E7710c838347Ae178B4a"'
SPELLINGS: dict[str, Callable[[bytes], bytes]] = {
    "itself": lambda value: value,
    "base64": lambda value: b64encode(value),
    "base64 behind one byte": lambda value: b64encode(b"x" + value),
    "base64 behind two bytes": lambda value: b64encode(b":x" + value + b"yz"),
    "base64 of a header": lambda value: b64encode(b"user:" + value + b"\n"),
    "base64 for URLs": lambda value: urlsafe_b64encode(b"ab" + value),
    "URL": lambda value: quote(value).encode(),
    "URL part": lambda value: quote(value, safe="").encode(),
    "URL part in lower case": lambda value: (
        quote(value, safe="").replace("%2F", "%2f").replace("%2B", "%2b").replace("%3D", "%3d").encode()
    ),
    "form": lambda value: quote_plus(value).encode(),
    "JSON": lambda value: json.dumps({"token": value.decode()}).encode(),
}


def leaks(value: bytes, changes: MemoryChanges, documents: dict[str, bytes] | None = None) -> list[Finding]:
    return find_leaks({'secret "token"': value}, [("layer 1", changes)], documents or {})


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_a_secret_is_found_in_a_file_however_it_is_spelt(spelling: Callable[[bytes], bytes]) -> None:
    found = leaks(TOKEN + b"\n", changes_of({"root/.netrc": b"before " + spelling(TOKEN) + b" after"}))
    assert [(one.rule, one.severity, one.path, one.causes) for one in found] == [
        ("SecretLeaked", "error", "/root/.netrc", ("layer 1",))
    ]


@pytest.mark.parametrize("length", range(8, 40))
def test_base64_is_found_at_every_alignment(length: int) -> None:
    value = os.urandom(length)
    patterns = [form.pattern for form in forms_of(value)]
    for before in range(4):
        for behind in range(4):
            encoded = b64encode(os.urandom(before) + value.strip() + os.urandom(behind))
            assert any(pattern in encoded for pattern in patterns), (value, before, behind)


def test_the_message_names_the_form_and_never_the_value() -> None:
    (found,) = leaks(TOKEN, changes_of({"a/b": b64encode(TOKEN)}))
    assert found.message == 'secret "token" is in base64 in /a/b'
    assert TOKEN.decode() not in found.line()
    (plain,) = leaks(TOKEN, changes_of({"a/b": TOKEN}))
    assert plain.message == 'secret "token" is in /a/b'


def test_names_links_and_attributes_are_searched() -> None:
    token = b"0123456789abcdef"
    found = leaks(
        token,
        changes_of(
            {
                f"tmp/{token.decode()}": b"",
                "link": symlink(f"/x/{token.decode()}"),
                "file": file(b"", xattrs={"user.note": token}),
            }
        ),
    )
    assert [one.message for one in found] == [
        f'secret "token" is in the name or link of /tmp/{token.decode()}',
        'secret "token" is in the name or link of /link',
        'secret "token" is in the extended attribute user.note of /file',
    ]


def test_documents_are_searched_as_they_are_and_unquoted() -> None:
    config = json.dumps({"config": {"Env": ["A=" + TOKEN.decode()], "Cmd": [["x", TOKEN.decode()]]}}).encode()
    found = leaks(TOKEN, changes_of({}), {"config": config, "manifest": b'{"annotations":{"a":"b"}}'})
    assert {one.message for one in found} == {
        'secret "token" is in the config of the image',
        'secret "token" is quoted for JSON in the config of the image',
    }


def test_a_secret_across_the_pieces_of_a_large_file_is_found() -> None:
    for place in (0, (1 << 20) - 5, (1 << 20) - len(TOKEN), 1 << 20, 3 << 20):
        content = bytes(place) + TOKEN + bytes(100)
        assert len(leaks(TOKEN, changes_of({"big": content}))) == 1, place


def test_the_longest_form_is_found_across_the_pieces_too() -> None:
    longest = max((form.pattern for form in forms_of(TOKEN)), key=len)
    for cut in (1, len(longest) - 1):
        content = bytes((1 << 20) - cut) + longest
        assert len(leaks(TOKEN, changes_of({"big": content}))) == 1, cut


def test_a_clean_image_has_none() -> None:
    assert leaks(TOKEN, changes_of({"a": TOKEN[:-1], "b": TOKEN[1:], "c": TOKEN.lower()}), {"config": b"{}"}) == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [(b"", False), (b"1234567\n", False), (b"password", False), (b"12345678", True), (b"averyveryverylongword", True)],
)
def test_values_that_mean_nothing_are_not_searched_for(value: bytes, expected: bool) -> None:
    assert is_searchable(value) is expected
    assert bool(leaks(value, changes_of({"a": b" " + value + b" "}))) is expected


def test_stored_layers_are_read_in_one_pass() -> None:
    """An IndexedLayer opens its blob once, however many files it has."""
    layer = make_layer({f"file{number}": bytes((number,)) * 5000 for number in range(50)} | {"last": TOKEN})
    content, image = make_image([layer])
    (indexed,) = open_layers(image, content)
    opened: list[str] = []

    def open_blob(descriptor: object) -> io.BytesIO:
        opened.append(str(descriptor))
        return io.BytesIO(layer.blob)

    indexed._open_blob = open_blob
    found = find_leaks({"it": TOKEN}, [("layer 0", indexed)], {})
    assert [one.path for one in found] == ["/last"]
    assert len(opened) == 1
    assert Tree([indexed]).lookup("last") is not None


def test_a_flood_of_hits_is_bounded() -> None:
    changes = changes_of({f"f{number}": TOKEN for number in range(300)})
    assert len(leaks(TOKEN, changes)) == 100
