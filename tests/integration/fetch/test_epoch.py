"""SOURCE_DATE_EPOCH that names what has the time: the context, a named context, a stage.

The times and messages are those of BuildKit v0.32, which built the same contexts from the same servers. It refuses
names with capital letters, though it compares stages without regard to them: it takes every name for a context's first.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from pyoci.api.bake import BakeRequest, bake
from pyoci.api.build import BuildResult, build
from pyoci.build.request import BuildRequest, Output
from pyoci.errors import BuildError, DockerfileError, UsageError
from tests.integration.fetch.git_server import COMMIT_TIME, GitServer, git_server
from tests.integration.fetch.web_server import Page, WebServer, web_server
from tests.integration.fetch.world import EPOCH, World

SAID = 1_650_000_000
"""What servers say of pages."""
NEWEST = 1_640_000_000
"""Of a file in an archive."""
LABEL = "FROM scratch\nARG SOURCE_DATE_EPOCH\nLABEL epoch=$SOURCE_DATE_EPOCH\nCOPY . /\n"
LAST_MODIFIED = {"Last-Modified": formatdate(SAID, usegmt=True)}


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as web:
        yield web


@pytest.fixture(scope="module")
def git(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    with git_server(tmp_path_factory.mktemp("git")) as server:
        app = server.repository("app")
        app.commit({"Dockerfile": LABEL, "file": "one"}, time=COMMIT_TIME - 100)
        app.git("tag", "--annotate", "v1", "--message=v1", time=COMMIT_TIME + 100)
        app.commit({"file": "two"})
        yield server


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path, variables={"SOURCE_DATE_EPOCH": ""})
    world.write("context/Dockerfile", LABEL)
    return world


def archive(files: Mapping[str, str]) -> bytes:
    """A directory newer than every file, and files of which the last is `NEWEST`."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        directory = tarfile.TarInfo("d")
        directory.type, directory.mode, directory.mtime = tarfile.DIRTYPE, 0o755, NEWEST + 500
        tar.addfile(directory)
        for back, (name, content) in enumerate(reversed(list(files.items()))):
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(content), NEWEST - back
            tar.addfile(info, io.BytesIO(content.encode()))
    return out.getvalue()


def times(result: BuildResult) -> tuple[int, str | None]:
    """When the image was made, and the build argument as a stage has it: the label is there but empty without one."""
    (image,) = result.images
    config = image.config.value
    assert config.created is not None
    assert len({entry.created for entry in config.history} | {config.created}) == 1
    return int(datetime.fromisoformat(config.created).timestamp()), config.config.labels["epoch"]


def built(world: World, value: str, context: str = "context", **fields: Any) -> tuple[int, str | None]:
    return times(world.build(context, build_args={"SOURCE_DATE_EPOCH": value}, **fields))


def same(seconds: int) -> tuple[int, str]:
    return seconds, str(seconds)


UNSET = (0, "")


@pytest.mark.needs_git
def test_the_time_of_a_repository(world: World, git: GitServer) -> None:
    url = git.url("app")
    assert built(world, "context", url) == same(COMMIT_TIME)
    assert world.files()["file"] == f"644 0:0 {COMMIT_TIME} two"
    assert built(world, "context", f"{url}#v1") == same(COMMIT_TIME - 100)
    assert built(world, "app", build_contexts={"app": f"{url}#v1"}) == same(COMMIT_TIME - 100)


@pytest.mark.needs_git
def test_files_of_a_repository_have_its_time_where_one_is_given(world: World, git: GitServer) -> None:
    url = git.url("app")
    for given, query, expected in [
        (str(EPOCH), "", COMMIT_TIME),
        (str(EPOCH), "?mtime=checkout", EPOCH),
        (str(COMMIT_TIME - 7), "", COMMIT_TIME - 7),
        ("", "?mtime=commit", 0),
    ]:
        built(world, given, url + query)
        assert world.files()["file"] == f"644 0:0 {expected} two"


def test_the_time_of_a_url(world: World, web: WebServer) -> None:
    files = archive({"Dockerfile": LABEL, "file": "x"})
    web.pages["/said.tar"] = Page(files, headers=LAST_MODIFIED)
    web.pages["/newest.tgz"] = Page(gzip.compress(files))
    web.pages["/Dockerfile"] = Page(b"FROM scratch\nARG SOURCE_DATE_EPOCH\nLABEL epoch=$SOURCE_DATE_EPOCH\n")
    web.pages["/compressed"] = Page(gzip.compress(b"no tar"))
    assert built(world, "context", web.url("/said.tar")) == same(SAID)
    assert built(world, "context", web.url("/newest.tgz")) == same(NEWEST)
    assert built(world, "context", web.url("/Dockerfile")) == UNSET
    for path, expected in [
        ("/said.tar", same(SAID)),
        ("/newest.tgz", same(NEWEST)),
        ("/Dockerfile", UNSET),
        ("/compressed", UNSET),
    ]:
        assert built(world, "here", build_contexts={"here": web.url(path)}) == expected


def test_what_has_no_time_leaves_it_unset(world: World) -> None:
    world.write("context/Dockerfile", "ARG SOURCE_DATE_EPOCH=5\n" + LABEL)
    assert built(world, "context") == UNSET
    assert built(world, "context", "-", stdin=archive({"Dockerfile": LABEL})) == UNSET
    world.write("context.tar", archive({"Dockerfile": LABEL}))
    assert built(world, "context", "context.tar") == UNSET
    for value in ("context", "context.tar", "docker-image://scratch"):
        assert built(world, "other", build_contexts={"other": value}) == UNSET
    assert built(world, "") == UNSET
    world.variables = {"SOURCE_DATE_EPOCH": "context"}
    assert times(world.build()) == UNSET


STAGE = """\
ARG SOURCE_DATE_EPOCH=mySource
ARG PAGE=said
FROM scratch AS MYsource
ARG HOST=nowhere PORT
ARG FILE=$PAGE${{SOURCE_DATE_EPOCH}}.tar
ADD --checksum={checksum} {base}/$FILE /
"""


def test_the_time_of_what_a_stage_adds(world: World, web: WebServer) -> None:
    files = archive({"file": "x"})
    web.pages["/said.tar"] = Page(files, headers=LAST_MODIFIED)
    web.pages["/newest.tar"] = Page(files)
    checksum = f"sha256:{hashlib.sha256(files).hexdigest()}"
    world.write("context/Dockerfile", STAGE.format(checksum=checksum, base=web.url("")) + LABEL)
    assert times(world.build()) == same(SAID)
    assert times(world.build(build_args={"PAGE": "newest"})) == same(NEWEST)
    assert times(world.build(build_args={"SOURCE_DATE_EPOCH": "7"})) == same(7)
    world.variables = {"SOURCE_DATE_EPOCH": "9"}
    assert times(world.build()) == same(9)
    world.variables = {"SOURCE_DATE_EPOCH": ""}
    own = LABEL.replace("ARG SOURCE_DATE_EPOCH", "ARG SOURCE_DATE_EPOCH=3")
    world.write("context/Dockerfile", STAGE.format(checksum=checksum, base=web.url("")) + own)
    assert times(world.build()) == (SAID, "3")


@pytest.mark.needs_git
def test_the_time_of_a_repository_that_a_stage_adds(world: World, git: GitServer) -> None:
    add = f"FROM scratch AS app\nADD --keep-git-dir=true {git.url('app')}#v1 /\n"
    world.write("context/Dockerfile", add + LABEL)
    assert built(world, "APP") == same(COMMIT_TIME - 100)


def test_stages_that_have_no_time(world: World, web: WebServer) -> None:
    web.pages["/f"] = Page(b"x")
    add = f"ADD {web.url('/f')} /\n"
    for stage, message, line in [
        (f"FROM busybox AS s\n{add}", "SOURCE_DATE_EPOCH stage must use FROM scratch", 1),
        ("FROM scratch AS s\n", "SOURCE_DATE_EPOCH stage must contain exactly one remote ADD", 1),
        (f"FROM scratch AS s\n{add}{add}", "SOURCE_DATE_EPOCH stage must contain exactly one remote ADD", 3),
        (
            f"FROM scratch AS s\n{add}COPY f /\n",
            "SOURCE_DATE_EPOCH stage does not meet source-only requirements: unsupported COPY instruction",
            3,
        ),
        (
            "FROM scratch AS s\nADD Dockerfile /\n",
            "SOURCE_DATE_EPOCH stage source must be a single HTTP(S) or Git ADD",
            2,
        ),
        (
            "FROM scratch AS s\nADD <<f /\nf\n",
            "SOURCE_DATE_EPOCH stage must contain exactly one remote ADD source",
            2,
        ),
    ]:
        world.write("context/Dockerfile", stage + LABEL)
        with pytest.raises(DockerfileError) as raised:
            built(world, "s")
        assert raised.value.message == message
        assert raised.value.location is not None
        assert raised.value.location.line == line
        assert raised.value.hint is not None


def test_what_means_nothing(world: World, web: WebServer) -> None:
    for value in ("soon", "-5", "1.5", "Context"):
        with pytest.raises(UsageError, match=f"^invalid SOURCE_DATE_EPOCH: {value}$") as raised:
            built(world, value)
        assert raised.value.hint is not None
        assert "seconds since 1970-01-01" in raised.value.hint
    with pytest.raises(BuildError, match="invalid response status 404"):
        built(world, "here", build_contexts={"here": web.url("/nowhere")})


def test_provenance_tells_what_was_given_and_what_was_asked(world: World, web: WebServer) -> None:
    web.pages["/f"] = Page(b"x", headers=LAST_MODIFIED)
    world.write("context/Dockerfile", f"FROM scratch AS s\nADD {web.url('/f')} /\n" + LABEL)
    output = Output("oci", str(world.directory / "app.tar"))
    request = BuildRequest(
        "context", build_args={"SOURCE_DATE_EPOCH": "s"}, provenance="max", outputs=(output,), preflight="off"
    )
    build(request, options=world.options())
    with tarfile.open(world.directory / "app.tar") as tar:
        texts = [content.read() for member in tar if (content := tar.extractfile(member)) is not None]
    (text,) = [text for text in texts if b"resolvedDependencies" in text]
    predicate = json.loads(text)["predicate"]
    assert predicate["buildDefinition"]["resolvedDependencies"] == [
        {"uri": web.url("/f"), "digest": {"sha256": hashlib.sha256(b"x").hexdigest()}}
    ]
    assert predicate["buildDefinition"]["externalParameters"]["request"]["args"]["build-arg:SOURCE_DATE_EPOCH"] == "s"
    assert predicate["runDetails"]["metadata"]["finishedOn"] == "2022-04-15T05:20:00Z"


def test_platforms_that_have_other_times(world: World, web: WebServer) -> None:
    web.pages["/amd64"] = Page(b"x", headers=LAST_MODIFIED)
    web.pages["/arm64"] = Page(b"y", headers={"Last-Modified": formatdate(SAID + 1, usegmt=True)})
    world.write("context/Dockerfile", f"FROM scratch AS s\nADD {web.url('/$TARGETARCH')} /\n" + LABEL)
    assert built(world, "s", platforms=("linux/arm64",)) == same(SAID + 1)
    with pytest.raises(UsageError, match=rf"is another one for each platform: {SAID}, {SAID + 1}$"):
        built(world, "s", platforms=("linux/amd64", "linux/arm64"))


def test_a_time_from_elsewhere_is_asked_for_again(world: World, web: WebServer) -> None:
    """The stage is in no image's plan, so nothing else keeps the build from being taken as unchanged."""
    web.pages["/f"] = Page(b"x", headers={**LAST_MODIFIED, "ETag": '"1"'})
    world.write("context/Dockerfile", f"FROM scratch AS s\nADD {web.url('/f')} /\n" + LABEL)
    request = BuildRequest("context", build_args={"SOURCE_DATE_EPOCH": "s"})
    for _ in range(3):
        assert times(build(request, options=world.options())) == same(SAID)
    web.pages["/f"] = Page(b"x", headers={"Last-Modified": formatdate(SAID + 1, usegmt=True), "ETag": '"2"'})
    assert times(build(request, options=world.options())) == same(SAID + 1)


@pytest.mark.needs_git
def test_files_of_one_repository_have_the_time_that_their_target_asks_for(world: World, git: GitServer) -> None:
    url = git.url("app")
    requests = {
        "without": BakeRequest(BuildRequest(url)),
        "with": BakeRequest(BuildRequest(url, build_args={"SOURCE_DATE_EPOCH": str(EPOCH)})),
    }
    together = bake(requests, options=world.options())
    for name, request in requests.items():
        alone = World(world.directory / name, variables={"SOURCE_DATE_EPOCH": ""})
        alone.directory.mkdir()
        assert build(request.build, options=alone.options()).digest == together[name].digest


def test_targets_of_a_bake_have_their_own_times(world: World, web: WebServer) -> None:
    web.pages["/said.tar"] = Page(archive({"Dockerfile": LABEL}), headers=LAST_MODIFIED)
    requests = {
        "local": BakeRequest(BuildRequest("context", build_args={"SOURCE_DATE_EPOCH": "context"})),
        "remote": BakeRequest(BuildRequest(web.url("/said.tar"), build_args={"SOURCE_DATE_EPOCH": "context"})),
    }
    results = bake(requests, options=world.options())
    assert {name: times(result) for name, result in results.items()} == {"local": UNSET, "remote": same(SAID)}
