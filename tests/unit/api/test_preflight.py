"""What a build does with what preflight finds: warns, ends, remembers, and reads nothing twice."""

from __future__ import annotations

import os
from base64 import b64encode
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from pyoci.api.build import BuildResult, build
from pyoci.api.check import check
from pyoci.api.leaks import secret_values
from pyoci.api.services import Options, opened
from pyoci.build.request import BuildRequest, Output, SecretSource
from pyoci.build.secrets import Secrets
from pyoci.environment import Environment
from pyoci.errors import ContentNotFound, LayerError, PreflightError, UsageError
from pyoci.location import Location
from pyoci.platforms import Platform
from pyoci.progress import Reporter
from tests.unit.preflight.looking import STATIC

TOKEN = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"
BROKEN = 'FROM scratch\nCOPY program /app\nUSER web\nENTRYPOINT ["/nowhere"]\n'
USER = (
    'preflight: USER: user "web" is not in /etc/passwd of the image (UserUnknown); add it with RUN adduser, or give '
    "its "
    "number"
)
PROGRAM = (
    'preflight: entrypoint "/nowhere": there is no /nowhere in the image (ProgramNotFound); COPY it there, or '
    "correct the "
    "path"
)


class Heard(Reporter):
    """What a build says, with the lines that it points to."""

    def __init__(self) -> None:
        self.warnings: list[tuple[str, int]] = []
        self.messages: list[str] = []

    def warning(self, text: str, *, location: Location | None = None) -> None:
        self.warnings.append((text, location.line if location else 0))

    def message(self, text: str) -> None:
        self.messages.append(text)


@dataclass
class World:
    """A store and a context."""

    path: Path
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.context = self.path / "context"
        self.context.mkdir()
        self.add("program", STATIC)

    def add(self, name: str, content: bytes, mode: int = 0o755) -> None:
        (self.context / name).write_bytes(content)
        (self.context / name).chmod(mode)

    def options(self, heard: Heard | None = None) -> Options:
        environment = Environment(
            store=self.path / "store",
            working_directory=self.path,
            home=self.path,
            uid=os.getuid(),
            gid=os.getgid(),
            platform=Platform("linux", "amd64"),
            now=0,
            variables=self.variables,
        )
        return Options(environment=environment, reporter=heard or Heard())

    def build(self, dockerfile: str, heard: Heard | None = None, **fields: Any) -> BuildResult:
        (self.context / "Dockerfile").write_text(dockerfile)
        given = {"tags": ("app",), **fields}
        return build(self.context, options=self.options(heard), **given)

    def warnings(self, dockerfile: str, **fields: Any) -> list[tuple[str, int]]:
        heard = Heard()
        self.build(dockerfile, heard, **fields)
        return [one for one in heard.warnings if one[0].startswith("preflight: ")]

    def damage_layers(self) -> None:
        """Whoever reads a layer from now on fails; that it is there is still true."""
        for path in (self.path / "store/blobs/sha256").iterdir():
            raw = path.read_bytes()
            if raw[:2] == b"\x1f\x8b":
                path.chmod(0o644)
                path.write_bytes(bytes(len(raw)))

    def tags(self) -> list[str]:
        from pyoci.api.images import images

        return [row.reference.familiar for row in images(options=self.options())]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_by_default_a_build_warns_at_the_line_that_is_to_blame(world: World) -> None:
    assert world.warnings(BROKEN) == [(USER, 3), (PROGRAM, 4)]
    assert world.tags() == ["app:latest"]


def test_with_error_nothing_is_named_or_written_and_all_faults_are_told(world: World) -> None:
    output = Output("oci", str(world.path / "out.tar"))
    with pytest.raises(PreflightError) as caught:
        world.build(BROKEN, preflight="error", outputs=(output,))
    first, (second,) = caught.value, caught.value.others
    assert first.message == 'USER: user "web" is not in /etc/passwd of the image (UserUnknown)'
    assert (first.hint, first.location and first.location.line) == ("add it with RUN adduser, or give its number", 3)
    assert second.location is not None and second.location.line == 4
    assert world.tags() == []
    assert not (world.path / "out.tar").exists()


def test_warnings_never_end_a_build(world: World) -> None:
    dockerfile = 'FROM scratch\nCOPY program /app\nHEALTHCHECK CMD ["/gone"]\nENTRYPOINT ["/app"]\n'
    (warning,) = world.warnings(dockerfile, preflight="error")
    assert warning[1] == 3


def test_off_looks_at_nothing(world: World) -> None:
    assert world.warnings(BROKEN, preflight="off") == []


def test_rules_are_skipped_by_the_request_and_by_the_dockerfile(world: World) -> None:
    assert world.warnings(BROKEN, preflight_skip=("UserUnknown",)) == [(PROGRAM, 4)]
    assert world.warnings("# check=skip=ProgramNotFound\n" + BROKEN) == [(USER, 4)]
    assert world.warnings("# check=skip=all\n" + BROKEN) == []


def test_a_misspelt_rule_is_refused(world: World) -> None:
    with pytest.raises(UsageError, match="UserUnknwn"):
        world.build(BROKEN, preflight_skip=("UserUnknwn",))


def test_kubernetes_is_asked_for(world: World) -> None:
    dockerfile = 'FROM scratch\nCOPY program /app\nENTRYPOINT ["/app"]\n'
    assert world.warnings(dockerfile) == []
    (warning,) = world.warnings(dockerfile, preflight_for="kubernetes")
    assert "(RootUser)" in warning[0]
    assert world.warnings(dockerfile) == []


def test_platforms_are_told_apart(world: World) -> None:
    dockerfile = 'FROM scratch\nCOPY program /app\nENTRYPOINT ["/app"]\n'
    (warning,) = world.warnings(dockerfile, platforms=("linux/amd64", "linux/arm64"))
    assert warning[0].startswith('preflight: linux/arm64: entrypoint "/app" is a program for amd64')


def test_a_cached_build_says_the_same_and_reads_no_layer(world: World) -> None:
    first = world.warnings(BROKEN)
    world.damage_layers()
    assert world.warnings(BROKEN) == first


def test_what_was_found_moves_with_the_lines(world: World) -> None:
    world.build(BROKEN)
    world.damage_layers()
    assert world.warnings("# a comment\n\n" + BROKEN) == [(USER, 5), (PROGRAM, 6)]


def test_a_damaged_verdict_is_made_again(world: World) -> None:
    world.build(BROKEN)
    (record,) = (world.path / "store/records").glob("preflight*")
    record.write_bytes(b"rubbish")
    assert world.warnings(BROKEN) == [(USER, 3), (PROGRAM, 4)]


def test_what_is_only_written_as_files_need_not_run(world: World) -> None:
    local = Output("local", str(world.path / "out"))
    assert world.warnings(BROKEN, tags=(), outputs=(local,)) == []
    assert len(world.warnings(BROKEN, outputs=(local,))) == 2


def test_what_is_all_the_base_s_own_is_not_looked_at(world: World) -> None:
    world.build(BROKEN, tags=("base",))
    assert world.warnings("FROM base\nLABEL a=b\nEXPOSE 80\n") == []
    assert len(world.warnings('FROM base\nCMD ["x"]\n')) == 2


def test_no_base_is_fetched_to_look_at_an_image(world: World) -> None:
    """Its layers stay where they are, unless findings are to be errors."""
    layout = Output("oci", str(world.path / "layout"), {"tar": "false"})
    base = world.build('FROM scratch\nCOPY program /base\nENTRYPOINT ["/gone"]\n', tags=(), outputs=(layout,))
    (layer,) = base.images[0].layers
    (world.path / "other").mkdir()
    other = World(world.path / "other")
    fields: dict[str, Any] = {"build_contexts": {"base": f"oci-layout://{world.path / 'layout'}"}, "tags": ()}
    heard = Heard()
    other.build("FROM base\nCOPY --link program /app\n", heard, **fields)
    assert heard.warnings == []
    assert [text for text in heard.messages if text.startswith("preflight: not looked at")]
    blob = other.path / "store/blobs" / layer.descriptor.digest.replace(":", "/")
    assert not blob.exists()
    with pytest.raises(PreflightError, match="/gone"):
        other.build("FROM base\nCOPY --link program /app\n", preflight="error", **fields)
    assert blob.exists()


def test_an_image_that_cannot_be_read_is_a_warning_or_the_error(world: World) -> None:
    world.add("script", b"#!/bin/sh\n")
    dockerfile = 'FROM scratch\nCOPY script /app\nENTRYPOINT ["/app"]\n'
    world.build(dockerfile, preflight="off")
    world.damage_layers()
    (warning,) = world.warnings(dockerfile)
    assert warning[0].startswith("preflight: the image could not be looked at: ")
    with pytest.raises(LayerError):
        world.build(dockerfile, preflight="error")


# secrets


def secret(world: World, value: str = TOKEN) -> dict[str, Any]:
    (world.path / "token").write_text(value)
    return {"secrets": (SecretSource("token", file="token"),)}


@pytest.mark.parametrize("content", [TOKEN, f"machine x password {TOKEN}\n", b64encode(f"u:{TOKEN}".encode()).decode()])
def test_a_secret_in_a_layer_always_ends_the_build(world: World, content: str) -> None:
    world.add("netrc", content.encode())
    with pytest.raises(PreflightError) as caught:
        world.build("FROM scratch\nCOPY program /app\nCOPY netrc /root/.netrc\n", **secret(world))
    assert caught.value.message.startswith('secret "token" is ')
    assert caught.value.message.endswith("in /root/.netrc (SecretLeaked)")
    assert caught.value.location is not None and caught.value.location.line == 3
    assert TOKEN not in f"{caught.value.message}{caught.value.hint}"
    assert world.tags() == []


@pytest.mark.parametrize("line", ["ENV TOKEN=$TOKEN", "LABEL token=$TOKEN", "RUN", 'CMD ["--token", "$TOKEN"]'])
def test_a_secret_in_the_config_or_the_history_ends_the_build(world: World, line: str) -> None:
    dockerfile = f"FROM scratch\nARG TOKEN\n{line if line != 'RUN' else 'ARG OTHER=$TOKEN'}\nCOPY program /app\n"
    dockerfile = dockerfile.replace("$TOKEN", TOKEN) if "CMD" in line else dockerfile
    with pytest.raises(PreflightError, match="in the config of the image"):
        world.build(dockerfile, build_args={"TOKEN": TOKEN}, **secret(world))


def test_a_secret_in_an_annotation_ends_the_build(world: World) -> None:
    with pytest.raises(PreflightError, match="in the annotations of the image"):
        world.build("FROM scratch\nCOPY program /app\n", annotations={"note": f"by {TOKEN}"}, **secret(world))


def test_files_alone_are_searched_too(world: World) -> None:
    world.add("netrc", TOKEN.encode())
    local = Output("local", str(world.path / "out"))
    with pytest.raises(PreflightError):
        world.build("FROM scratch\nCOPY netrc /\n", tags=(), outputs=(local,), **secret(world))
    assert not (world.path / "out").exists()


def test_a_leak_can_be_allowed_by_name(world: World) -> None:
    world.add("netrc", TOKEN.encode())
    dockerfile = 'FROM scratch\nCOPY netrc program /\nENTRYPOINT ["/program"]\n'
    world.build(dockerfile, preflight_skip=("SecretLeaked",), **secret(world))
    world.build(dockerfile, preflight="off", **secret(world))


def test_other_things_that_nobody_may_see_are_searched_for(world: World) -> None:
    world.add("conf", b"proxy http://me:pr0xy-pass-word@proxy:3128\n")
    world.add("key", b"-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n")
    dockerfile = 'FROM scratch\nCOPY conf program /\nENTRYPOINT ["/program"]\n'
    with pytest.raises(PreflightError, match=r"the password in https_proxy is in /conf \(SecretLeaked\)"):
        world.build(dockerfile, build_args={"https_proxy": "http://me:pr0xy-pass-word@proxy:3128"})
    world.variables = {"HTTP_PROXY": "http://me:pr0xy%2Dpass-word@proxy:3128"}
    with pytest.raises(PreflightError, match="the password in HTTP_PROXY is in /conf"):
        world.build(dockerfile)


def test_credentials_of_the_registry_to_push_to_are_searched_for(world: World) -> None:
    (world.path / ".docker").mkdir()
    auth = b64encode(f"me:{TOKEN}".encode()).decode()
    (world.path / ".docker/config.json").write_text(f'{{"auths": {{"registry.test": {{"auth": "{auth}"}}}}}}')
    for output in (Output("registry"), Output("image", "", {"push": "true"})):
        request = BuildRequest(tags=("registry.test/app",), outputs=(output,))
        with opened(world.options()) as services:
            assert secret_values(request, services, Secrets((), {}, world.path.joinpath)) == {
                "the password for registry.test": TOKEN.encode()
            }
    with opened(world.options()) as services:
        assert secret_values(BuildRequest(tags=("registry.test/app",)), services, Secrets((), {}, Path)) == {}


def test_short_values_are_not_searched_for_and_that_is_said(world: World) -> None:
    heard = Heard()
    world.build('FROM scratch\nCOPY program /\nENTRYPOINT ["/program"]\n', heard, **secret(world, "a\n"))
    assert [text for text in heard.messages if text.startswith('preflight: secret "token" is not searched for')]


def test_a_clean_layer_is_not_searched_again_for_the_same_secrets(world: World) -> None:
    dockerfile = 'FROM scratch\nCOPY program /\nENTRYPOINT ["/program"]\n'
    world.build(dockerfile, **secret(world))
    world.damage_layers()
    world.build(dockerfile, **secret(world))
    with pytest.raises(LayerError):
        world.build(dockerfile, **secret(world, TOKEN + "x"))


def test_the_store_does_not_tell_what_was_searched_for(world: World) -> None:
    world.build('FROM scratch\nCOPY program /\nENTRYPOINT ["/program"]\n', **secret(world))
    for path in (world.path / "store").rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes()


# check


def test_check_tells_the_same_of_an_image_wherever_it_is(world: World) -> None:
    outputs = (
        Output("docker", str(world.path / "docker.tar")),
        Output("oci", str(world.path / "oci.tar")),
        Output("oci", str(world.path / "layout"), {"tar": "false"}),
    )
    result = world.build(BROKEN, outputs=outputs)
    expected = ["UserUnknown", "ProgramNotFound"]
    for name in (
        *("app", "app:latest", result.image_id, result.image_id[7:19], "docker-archive:docker.tar"),
        *("docker-archive:docker.tar:app", "oci-archive:oci.tar", f"oci-layout://{world.path / 'layout'}:latest"),
    ):
        (found,) = check(name, options=world.options())
        assert [one.rule for one in found.findings] == expected, name
        assert found.has_errors
        assert str(found.platform) == "linux/amd64"
    (skipped,) = check("app", skip=expected, options=world.options())
    assert (skipped.findings, skipped.has_errors) == ((), False)


def test_check_looks_at_every_platform_when_asked(world: World) -> None:
    world.build('FROM scratch\nCOPY program /app\nENTRYPOINT ["/app"]\n', platforms=("linux/amd64", "linux/arm64"))
    found = check("app", all_platforms=True, options=world.options())
    assert {str(one.platform): one.has_errors for one in found} == {"linux/amd64": False, "linux/arm64": True}
    (arm,) = check("app", platform="linux/arm64", options=world.options())
    assert arm.has_errors
    (one,) = check("app", audience="kubernetes", options=world.options())
    assert [each.rule for each in one.findings] == ["RootUser"]


def test_check_finds_no_image_offline(world: World) -> None:
    with pytest.raises(ContentNotFound):
        check("nowhere.test/app", options=replace(world.options(), offline=True))
