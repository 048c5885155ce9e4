"""The rule by which a client's names and pyoci's own are one, in both directions."""

from __future__ import annotations

import pytest

from pyoci.reference import parse_reference
from pyoci.serve.names import parse_tag, path_of, read_name
from pyoci.serve.refusals import Refused

HERE = ("localhost:5000", "127.0.0.1:5000")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("app", "docker.io/library/app"),
        ("library/app", "docker.io/library/app"),
        ("docker.io/app", "docker.io/library/app"),
        ("team/app", "docker.io/team/app"),
        ("team/sub/app", "docker.io/team/sub/app"),
        ("gcr.io/distroless/static", "gcr.io/distroless/static"),
        ("localhost/app", "localhost/app"),
        ("a.b", "docker.io/library/a.b"),
        ("a_b.c/app", "docker.io/a_b.c/app"),
        ("a--b__c/d.e", "docker.io/a--b__c/d.e"),
        ("f" * 64, "docker.io/library/" + "f" * 64),
    ],
)
def test_a_path_is_the_name_that_pyoci_reads_in_it(path: str, name: str) -> None:
    found = read_name(path, addresses=HERE)
    assert found.name == name
    assert found.names == (f"localhost:5000/{path}", f"127.0.0.1:5000/{path}", name)
    parse_reference(f"{name}:1")  # what is pushed there can be named by every other verb


@pytest.mark.parametrize(
    "path",
    [
        *(
            "",
            "/",
            "a//b",
            "/a",
            "a/",
            "A",
            "a/B",
            "a:1",
            "localhost:5000/app",
            "a@b",
            "..",
            "a/../b",
            "../../etc",
            "a/.b",
        ),
        *("-a", "a-", "a___b", "a..b", "a/é", "a b", "a%2fb", "a\0b", "a\\b", "_a/b", "x" * 256, "_catalog", "a\n"),
    ],
)
def test_what_the_grammar_does_not_have_is_refused(path: str) -> None:
    with pytest.raises(Refused) as caught:
        read_name(path, addresses=HERE)
    assert (caught.value.status, caught.value.faults[0].code) == (400, "NAME_INVALID")


def test_a_mirror_says_which_registry_it_means() -> None:
    assert read_name("library/app", addresses=HERE, namespace="docker.io").names == ("docker.io/library/app",)
    assert read_name("team/app", addresses=HERE, namespace="reg.example:5000").names == ("reg.example:5000/team/app",)
    assert read_name("app", addresses=HERE, namespace="localhost:5000").name == "docker.io/library/app"
    for nonsense in ("no registry", "example", "a/b.c", "../x:1", "x.y@z"):
        with pytest.raises(Refused):
            read_name("app", addresses=HERE, namespace=nonsense)


def test_the_whole_name_that_a_client_typed_goes_before() -> None:
    found = read_name("team/app", addresses=HERE, host="registry.corp:5000")
    assert found.names[0] == "registry.corp:5000/team/app"
    assert found.names[-1] == "docker.io/team/app"
    assert read_name("app", addresses=HERE, host="localhost:5000").addresses == HERE
    for nothing in ("", "docker.io", "host", "a/b.c", "x y:1", "../x", "user@host:1", "host:1/app", "[::1"):
        assert read_name("app", addresses=HERE, host=nothing).addresses == HERE


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("app:1", "app"),
        ("team/app:1", "team/app"),
        ("ghcr.io/team/app:1", "ghcr.io/team/app"),
        ("localhost:5000/app:1", "app"),
        ("127.0.0.1:5000/team/app:1", "team/app"),
        ("localhost:5001/app:1", None),
        ("Example.com/app:1", None),
    ],
)
def test_how_clients_call_an_image_of_the_store(name: str, path: str | None) -> None:
    assert path_of(parse_reference(name), addresses=HERE) == path


def test_tags() -> None:
    for good in ("1", "latest", "_x", "A.b-c_d", "x" * 128):
        assert parse_tag(good) == good
    for bad in ("", ".x", "-x", "x" * 129, "a/b", "a@b", "é", "a b", "a:b", "1@sha256:" + "a" * 64):
        with pytest.raises(Refused):
            parse_tag(bad)
