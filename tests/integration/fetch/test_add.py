"""ADD of URLs and repositories, built from end to end.

Modes, owners, names and histories are what BuildKit v0.26 makes of the same Dockerfiles (held side by side with its OCI
output); times are those of BuildKit below SOURCE_DATE_EPOCH.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyoci.build.request import SecretSource
from pyoci.digest import sha256_digest
from pyoci.errors import BuildError, DigestMismatch, DockerfileError
from tests.integration.fetch.git_server import COMMIT_TIME, GitServer, git_server
from tests.integration.fetch.web_server import Page, WebServer, web_server
from tests.integration.fetch.world import EPOCH, World

AUGUST = "Sat, 01 Aug 2020 10:00:00 GMT"
AUGUST_SECONDS = 1596276000


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as web:
        yield web


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def archive() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        info = tarfile.TarInfo("inside")
        info.size, info.uid, info.gid, info.mode, info.mtime = 2, 1000, 100, 0o640, AUGUST_SECONDS
        tar.addfile(info, io.BytesIO(b"in"))
    return out.getvalue()


def test_a_url_is_a_file_of_root_with_the_servers_time(world: World, web: WebServer) -> None:
    web.pages["/dir/tool%20a.bin?x=1"] = Page(b"tool", headers={"Last-Modified": AUGUST})
    web.pages["/"] = Page(b"root")
    url = web.url("/dir/tool%20a.bin?x=1")
    world.write(
        "context/Dockerfile",
        f"FROM scratch\nADD {url} /a/\nADD {url} /b\nADD --chown=3:4 --chmod=755 {url} /c\nADD {web.url('/')} /d/\n",
    )
    world.build()
    assert world.files() == {
        "a": f"755 0:0 {EPOCH} /",
        "a/tool a.bin": f"600 0:0 {AUGUST_SECONDS} tool",
        "b": f"600 0:0 {AUGUST_SECONDS} tool",
        "c": f"755 3:4 {AUGUST_SECONDS} tool",
        "d": f"755 0:0 {EPOCH} /",
        "d/__unnamed__": "600 0:0 0 root",
    }
    assert sorted(web.paths()) == ["/", "/dir/tool%20a.bin?x=1"]


def test_times_after_the_epoch_are_the_epoch(world: World, web: WebServer) -> None:
    web.pages["/f"] = Page(b"x", headers={"Last-Modified": "Wed, 01 Jan 2031 10:00:00 GMT"})
    world.write("context/Dockerfile", f"FROM scratch\nADD {web.url('/f')} /\n")
    world.build()
    assert world.files() == {"f": f"600 0:0 {EPOCH} x"}


def test_archives_of_urls_are_unpacked_on_request_alone(world: World, web: WebServer) -> None:
    web.pages["/t.tgz"] = Page(archive())
    url = web.url("/t.tgz")
    world.write("context/Dockerfile", f"FROM scratch\nADD {url} /kept/\nADD --unpack {url} /unpacked/\n")
    world.build()
    files = world.files()
    assert files["kept/t.tgz"].startswith("600 0:0 0 ")
    assert files["unpacked/inside"] == f"640 1000:100 {AUGUST_SECONDS} in"


def test_the_next_build_asks_and_finds_everything(world: World, web: WebServer) -> None:
    web.pages["/f"] = Page(b"one", headers={"ETag": '"1"'})
    world.write("context/Dockerfile", f"FROM scratch\nADD {web.url('/f')} /\n")
    first = world.build()
    second = world.build()
    assert second.digest == first.digest
    assert (len(world.steps.done), len(world.steps.cached)) == (0, 1)
    assert [asked.headers.get("if-none-match") for asked in web.asked] == [None, '"1"']
    web.pages["/f"] = Page(b"two", headers={"ETag": '"2"'})
    assert world.build().digest != first.digest
    assert world.contents() == {"f": "two"}


def test_another_time_of_the_same_bytes_is_another_layer(world: World, web: WebServer) -> None:
    """So that the image is the one that an empty store would give."""
    world.write("context/Dockerfile", f"FROM scratch\nADD {web.url('/f')} /\n")
    web.pages["/f"] = Page(b"one", headers={"Last-Modified": AUGUST})
    world.build()
    web.pages["/f"] = Page(b"one", headers={"Last-Modified": "Sat, 01 Aug 2020 10:00:01 GMT"})
    world.build()
    assert world.files() == {"f": f"600 0:0 {AUGUST_SECONDS + 1} one"}


def test_a_pinned_url_is_not_asked_for_again(world: World, web: WebServer) -> None:
    web.pages["/f"] = Page(b"one", headers={"Last-Modified": AUGUST})
    world.write(
        "context/Dockerfile", f"FROM scratch\nADD --checksum={sha256_digest(b'one')} {web.url('/f')} /\nCOPY x /\n"
    )
    world.write("context/x", "1")
    first = world.build()
    assert web.paths() == ["/f"]
    assert world.build().digest == first.digest
    world.write("context/x", "2")
    world.offline = True
    world.build()
    assert web.paths() == []
    assert world.files()["f"] == f"600 0:0 {AUGUST_SECONDS} one"


def test_another_digest_stops_the_build_at_its_line(world: World, web: WebServer) -> None:
    web.pages["/f"] = Page(b"two")
    world.write("context/Dockerfile", f"FROM scratch\nADD --checksum={sha256_digest(b'one')} {web.url('/f')} /\n")
    with pytest.raises(DigestMismatch, match="digest mismatch for") as caught:
        world.build()
    assert caught.value.location is not None
    assert (caught.value.location.line, caught.value.location.column) == (2, 88)
    assert not list((world.store / "blobs/sha256").iterdir())


def test_a_missing_file_is_named_at_its_line(world: World, web: WebServer) -> None:
    world.write("context/Dockerfile", f"FROM scratch\nADD {web.url('/nope?token=s3cret')} /\n")
    with pytest.raises(BuildError, match="invalid response status 404") as caught:
        world.build()
    assert str(caught.value.location) == "Dockerfile:2:5"
    assert "s3cret" not in caught.value.message


def test_secrets_for_urls_are_in_nothing_that_is_kept(world: World, web: WebServer) -> None:
    web.pages["/f"] = Page(b"private", authorization="Bearer t0ken-value")
    world.write("context/Dockerfile", f"FROM scratch\nADD {web.url('/f')} /\n")
    world.write("token", "t0ken-value\n")
    world.build(secrets=(SecretSource("HTTP_AUTH_TOKEN_127.0.0.1", file="token"),))
    assert world.contents() == {"f": "private"}
    assert all(b"t0ken-value" not in path.read_bytes() for path in world.store.rglob("*") if path.is_file())


def test_credentials_in_a_url_are_sent_and_masked(world: World, web: WebServer) -> None:
    web.pages["/f"] = Page(b"private", authorization="Basic dXNlcjpwYXNzdzByZA==")
    url = web.url("/f").replace("http://", "http://user:passw0rd@")
    world.write("context/Dockerfile", f"FROM scratch\nADD {url} /\n")
    image = world.build().images[0]
    shown = f"ADD {url.replace('user:passw0rd', 'xxxxx:xxxxx')} /"
    assert [entry.created_by for entry in image.config.value.history] == [f"{shown} # buildkit"]
    assert all(b"passw0rd" not in path.read_bytes() for path in world.store.rglob("*") if path.is_file())
    assert not [title for title in world.steps.done if "passw0rd" in title]


@pytest.mark.parametrize(
    ("instruction", "problem", "column"),
    [
        ("ADD --checksum=sha256:12 http://h/f /", '"sha256:12" is not a sha256 digest', 16),
        (f"ADD --checksum=sha512:{'0' * 128} http://h/f /", "checksum of a URL must be a sha256 digest", 16),
        (f"ADD --checksum=sha256:{'0' * 64} f /", "checksum requires HTTP(S) or Git sources", 16),
        ("ADD --checksum=xyz https://h/r.git /", "invalid checksum xyz for Git URL, expected hex commit hash", 16),
        ("ADD --checksum=abc https://h/r.git?checksum=def /", 'checksum mismatch "abc" != "def"', 16),
        ("ADD --keep-git-dir=false https://h/r.git?keep-git-dir /", "inconsistent keep-git-dir configuration", 26),
        ("ADD https://h/r.git?depth=1 /", 'unexpected query "depth"', 5),
        ("COPY http://h/f /", "source can't be a URL for COPY", 6),
        ("COPY https://h/r.git /", "source can't be a git ref for COPY", 6),
        ("COPY git@h:r /", "source can't be a git ref for COPY", 6),
    ],
)
def test_contradictions_are_found_before_anything_is_fetched(
    world: World, instruction: str, problem: str, column: int
) -> None:
    world.write("context/Dockerfile", f"FROM scratch\n{instruction}\n")
    with pytest.raises(DockerfileError) as caught:
        world.build()
    assert caught.value.message == problem
    assert caught.value.location is not None
    assert (caught.value.location.line, caught.value.location.column) == (2, column)


def test_paths_that_look_like_references_are_paths(world: World) -> None:
    world.write("context/github.com/user/repo", "local")
    world.write("context/a@b", "at")
    world.write("context/Dockerfile", "FROM scratch\nADD github.com/user/repo a@b /\n")
    world.build()
    assert world.contents() == {"repo": "local", "a@b": "at"}


# repositories


@pytest.fixture(scope="module")
def git(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    with git_server(tmp_path_factory.mktemp("git")) as server:
        repository = server.repository("app")
        (repository.work / "run.sh").write_text("run\n")
        (repository.work / "run.sh").chmod(0o755)
        (repository.work / "link").symlink_to("file")
        repository.commit({"file": "one", "docs/readme": "read"})
        repository.git("tag", "--annotate", "v1", "--message=v1")
        repository.commit({"file": "two"}, time=COMMIT_TIME + 9)
        yield server


@pytest.mark.needs_git
def test_a_repository_gives_its_contents(world: World, git: GitServer) -> None:
    url = git.url("app")
    world.write(
        "context/Dockerfile",
        f"FROM scratch\nADD {url}#v1 /a\nADD --chown=3:4 {url}#main:docs /b/\n"
        f"ADD --exclude=docs {url}?mtime=commit /c\n",
    )
    world.build()
    assert world.files() == {
        "a": f"755 0:0 {EPOCH} /",
        "a/docs": f"755 0:0 {EPOCH} /",
        "a/docs/readme": f"644 0:0 {EPOCH} read",
        "a/file": f"644 0:0 {EPOCH} one",
        "a/link": f"777 0:0 {EPOCH} file",
        "a/run.sh": f"755 0:0 {EPOCH} run",
        "b": f"755 3:4 {EPOCH} /",
        "b/readme": f"644 3:4 {EPOCH} read",
        "c": f"755 0:0 {EPOCH} /",
        "c/file": f"644 0:0 {COMMIT_TIME + 9} two",
        "c/link": f"777 0:0 {COMMIT_TIME + 9} file",
        "c/run.sh": f"755 0:0 {COMMIT_TIME + 9} run",
    }


@pytest.mark.needs_git
def test_a_branch_that_moves_rebuilds_and_a_commit_does_not(world: World, git: GitServer) -> None:
    repository = git.repository("moving")
    commit = repository.commit({"file": "one"})
    url = git.url("moving")
    world.write("context/Dockerfile", f"FROM scratch\nADD {url} /branch/\nADD {url}#{commit} /commit/\n")
    world.build()
    world.build()
    assert len(world.steps.cached) == 2
    repository.commit({"file": "two"})
    world.build()
    assert world.contents() == {"branch/file": "two", "commit/file": "one"}
    assert [title.split()[-1] for title in world.steps.done] == ["/branch/", "/commit/"]


@pytest.mark.needs_git
def test_the_same_image_from_another_store(tmp_path: Path, git: GitServer) -> None:
    digests = set()
    for name in ("one", "two"):
        world = World(tmp_path / name)
        world.write("context/Dockerfile", f"FROM scratch\nADD --keep-git-dir {git.url('app')} /\n")
        digests.add(world.build().digest)
    assert len(digests) == 1


@pytest.mark.needs_git
def test_the_wrong_commit_stops_the_build_at_its_line(world: World, git: GitServer) -> None:
    world.write("context/Dockerfile", f"FROM scratch\nADD --checksum=abcdef {git.url('app')} /\n")
    with pytest.raises(BuildError, match="expected checksum to match abcdef, got ") as caught:
        world.build()
    assert str(caught.value.location) == "Dockerfile:2:23"


@pytest.mark.needs_git
def test_onbuild_fetches_in_the_child(world: World, git: GitServer) -> None:
    world.write(
        "context/Dockerfile",
        f"FROM scratch AS base\nONBUILD ADD {git.url('app')}#v1:docs /docs/\nFROM base\n",
    )
    world.build()
    assert world.contents() == {"docs/readme": "read"}
