"""`RUN --mount`: options to mounts. Defaults are those of the Dockerfile reference."""

from __future__ import annotations

import pytest

from pyoci.dockerfile.expand import expand_instruction
from pyoci.dockerfile.instructions import Run
from pyoci.dockerfile.mount_options import split_commas
from pyoci.dockerfile.mounts import BindMount, CacheMount, Mount, SecretMount, SshMount, TmpfsMount, mount_of
from pyoci.errors import DockerfileError
from tests.unit.dockerfile.reading import first, messages


def mount(text: str, **variables: str) -> Mount:
    run = expand_instruction(first(Run, f"RUN --mount={text} true"), variables.get)
    return mount_of(run.mounts[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("target=/x", BindMount(target="/x")),
        ("type=bind,src=a,dst=b,from=s", BindMount(target="b", source="a", from_="s")),
        ("type=bind,target=/x,rw", BindMount(target="/x", read_only=False)),
        ("type=bind,target=/x,readwrite=false", BindMount(target="/x")),
        ("type=bind,target=/x,ro=false", BindMount(target="/x", read_only=False)),
        ("type=cache,target=/c/../d/", CacheMount(target="/c/../d/", id="/d")),
        ("TYPE=Cache,target=/c,id=i,sharing=Locked", CacheMount(target="/c", id="i", sharing="locked")),
        ("type=cache,target=/c,readonly", CacheMount(target="/c", id="/c", read_only=True)),
        (
            "type=cache,target=/c,from=s,source=/d,mode=0700,uid=1,gid=2",
            CacheMount(target="/c", id="/c", from_="s", source="/d", mode=0o700, uid=1, gid=2),
        ),
        ("type=tmpfs,target=/t", TmpfsMount(target="/t")),
        ("type=tmpfs,target=/t,size=1.5GiB", TmpfsMount(target="/t", size_bytes=3 << 29)),
        ("type=secret,id=a", SecretMount(id="a", target="/run/secrets/a")),
        ("type=secret,source=a/b", SecretMount(id="a/b", target="/run/secrets/b")),
        ("type=secret,target=/k/token", SecretMount(id="token", target="/k/token")),
        ("type=secret,id=a,env=A", SecretMount(id="a", target=None, env="A")),
        ("type=secret,id=a,env=A,target=/t", SecretMount(id="a", target="/t", env="A")),
        (
            "type=secret,id=a,required,mode=0440,uid=1,gid=2",
            SecretMount(id="a", target="/run/secrets/a", required=True, mode=0o440, uid=1, gid=2),
        ),
        ("type=ssh", SshMount(id="default", target=None)),
        ("type=ssh,id=k,target=/a,required=true,mode=0666", SshMount(id="k", target="/a", required=True, mode=0o666)),
        ('"target=/a,b",type=bind', BindMount(target="/a,b")),
    ],
)
def test_what_options_mean(text: str, expected: Mount) -> None:
    quoted = text.replace('"', '\\"')
    assert mount(quoted) == expected


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("a", [("a", 0)]),
        ("a,b=c", [("a", 0), ("b=c", 2)]),
        (",a", [("", 0), ("a", 1)]),
        ("a,", [("a", 0), ("", 2)]),
        ('"a,b",c', [("a,b", 0), ("c", 6)]),
        ('"a""b"', [('a"b', 0)]),
        ('x,""', [("x", 0), ("", 2)]),
    ],
)
def test_fields_between_commas(text: str, fields: list[tuple[str, int]]) -> None:
    assert split_commas(text) == fields


@pytest.mark.parametrize("text", ["", 'a"b', '"a', '"a"b', '"a""'])
def test_what_is_no_list_of_fields(text: str) -> None:
    with pytest.raises(ValueError, match=r"quot|empty"):
        split_commas(text)


def test_variables_stand_in_values_but_not_in_from() -> None:
    assert mount("type=$T,target=${D:-/x}", T="cache") == CacheMount(target="/x", id="/x")
    assert messages("FROM x\nRUN --mount=from=$s,target=/x true") == ["--mount=from= cannot hold a variable"]


@pytest.mark.parametrize(
    ("text", "name"), [("target=/x", None), ("from=a,target=/x,from=b", "b"), ("from=,target=/x", None)]
)
def test_what_a_mount_comes_from_is_known_before_expansion(text: str, name: str | None) -> None:
    assert first(Run, f"RUN --mount={text} true").mounts[0].from_ == name


def test_a_dollar_at_the_end_of_from_is_no_variable() -> None:
    assert mount("from=a$,target=/x") == BindMount(target="/x", from_="a$")


def test_options_with_variables_are_judged_once_they_are_expanded() -> None:
    with pytest.raises(DockerfileError, match='"nfs" is no mount type') as caught:
        mount("type=$T,target=/x", T="nfs")
    assert caught.value.location is not None
    assert (caught.value.location.column, caught.value.location.length) == (13, 7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("required,type=secret,id=a", "required is not for bind mounts"),
        ("type=ssh,source=/s", "source is not for ssh mounts"),
        ("type=secret,id=a,from=b", "from is not for secret mounts"),
        ("type=tmpfs,target=/x,uid=1", "uid is not for tmpfs mounts"),
        ("type=cache,target=/x,uid=4294967296", 'uid is a number, not "4294967296"'),
        ("type=cache,target=/x,uid=1_0", 'uid is a number, not "1_0"'),
        ("type=cache,target=/x,gid=+1", 'gid is a number, not "+1"'),
        ("type=cache,target=/x,mode=0o7", 'mode is an octal number, not "0o7"'),
        ("type=cache,target=/x,mode=8", 'mode is an octal number, not "8"'),
        ("type=bind,target=/x,ro=maybe", 'ro is true or false, not "maybe"'),
        ('target=/x,\\"a', '--mount has a quote (") that is not closed'),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    assert messages(f"FROM x\nRUN --mount={text} true") == [message]
