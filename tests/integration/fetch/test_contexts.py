"""Contexts from anywhere: what is in them, where the Dockerfile is looked for, and when `.dockerignore` counts.

Archives with odd owners, repositories with submodules and named URLs were held side by side with BuildKit v0.26; what
the command line chooses is docker buildx v0.38's.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from pyoci.errors import BuildError, UsageError
from pyoci.layer.compression import zstd_module
from tests.integration.fetch.git_server import COMMIT_TIME, GitServer, git_server
from tests.integration.fetch.web_server import Page, WebServer, web_server
from tests.integration.fetch.world import EPOCH, World

ALL = "FROM scratch\nCOPY . /\n"


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as web:
        yield web


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def tar(files: Mapping[str, str], **attributes: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in attributes.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content.encode()))
    return out.getvalue()


CONTEXT = {
    "./Dockerfile": ALL,
    "./file": "content",
    "./.dockerignore": "file\n",
    "./other/Dockerfile": "FROM scratch\n",
}
COPIED = {"Dockerfile": ALL.rstrip(), "file": "content", ".dockerignore": "file", "other/Dockerfile": "FROM scratch"}


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress, zstd_module().compress])
def test_a_tar_on_standard_input(world: World, compress: Callable[[bytes], bytes]) -> None:
    world.build("-", stdin=io.BytesIO(compress(tar(CONTEXT))))
    assert world.contents() == COPIED


def test_a_tar_file(world: World) -> None:
    world.write("context.tar", tar(CONTEXT))
    world.build("context.tar")
    assert world.contents() == COPIED


def test_the_same_tar_is_found_in_the_cache_however_it_comes(world: World, web: WebServer) -> None:
    web.pages["/c.tgz"] = Page(gzip.compress(tar(CONTEXT)))
    first = world.build("-", stdin=tar(CONTEXT))
    assert len(world.steps.done) == 1
    for context in ("-", web.url("/c.tgz")):
        assert world.build(context, stdin=tar(CONTEXT)).digest == first.digest
        assert len(world.steps.cached) == 1


def test_owners_and_modes_of_a_tar_stay_and_times_do_not(world: World) -> None:
    world.build("-", stdin=tar({"Dockerfile": ALL, "f": "x"}, uid=1000, gid=100, mode=0o600, mtime=5))
    assert world.files()["f"] == f"600 1000:100 {EPOCH} x"


def test_a_tar_behind_a_url(world: World, web: WebServer) -> None:
    web.pages["/c.tar"] = Page(tar(CONTEXT))
    world.build(web.url("/c.tar"))
    assert world.contents() == COPIED


def test_a_dockerfile_behind_a_url_is_alone_in_its_context(world: World, web: WebServer) -> None:
    web.pages["/any.name"] = Page(ALL.encode())
    world.build(web.url("/any.name"))
    assert world.contents() == {"context": ALL.rstrip()}
    with pytest.raises(UsageError, match="-f other cannot be in the context, which is a single file"):
        world.build(web.url("/any.name"), file="other")


def test_a_dockerfile_on_standard_input_has_no_context(world: World) -> None:
    world.write("file", "not copied")
    world.build("-", stdin=b"FROM scratch\nCOPY <<EOF /inline\ntext\nEOF\n")
    assert world.contents() == {"inline": "text"}
    with pytest.raises(BuildError, match='"/file": not found'):
        world.build("-", stdin=b"FROM scratch\nCOPY file /\n")


@pytest.mark.parametrize(
    ("context", "fields", "problem"),
    [
        ("-", {"file": "-", "stdin": b"x"}, "invalid argument: can't use stdin for both build context and dockerfile"),
        (
            "-",
            {"file": "Dockerfile", "stdin": ALL.encode()},
            "ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles",
        ),
        ("-", {"stdin": b""}, "nothing was given on standard input"),
        ("-", {}, "nothing was given on standard input"),
        ("-", {"stdin": tar({"a": "x"})}, "failed to read dockerfile: open Dockerfile: no such file or directory"),
        ("-", {"stdin": tar({"Dockerfile/a": "x"})}, "failed to read dockerfile: open Dockerfile: is no file"),
        ("-", {"stdin": gzip.compress(ALL.encode())}, "cannot read the archive -: "),
        ("-", {"stdin": tar({"../x": "x"})}, "cannot read the archive -: "),
        ("nowhere", {}, 'unable to prepare context: path "nowhere" not found'),
        ("file", {}, 'unable to prepare context: "file" is neither a directory nor a tar archive'),
        ("context", {"file": "nope"}, "failed to read dockerfile: open nope: no such file or directory"),
        ("http://127.0.0.1:1/x.git?depth=1", {}, 'unexpected query "depth"'),
        ("context", {"build_contexts": {"a": "nowhere"}}, 'build context "a": there is no directory nowhere'),
        ("context", {"build_contexts": {"a": "ftp://h/x"}}, 'build context "a": unsupported context source ftp://h/x'),
        (
            "context",
            {"build_contexts": {"a": "git://h/x?tag=a&branch=b"}},
            'build context "a": branch conflicts with tag',
        ),
    ],
)
def test_what_is_no_context(world: World, context: str, fields: Mapping[str, object], problem: str) -> None:
    world.write("context/Dockerfile", ALL)
    world.write("file", "neither")
    with pytest.raises(UsageError) as caught:
        world.build(context, **fields)
    assert caught.value.message.startswith(problem)


# where the Dockerfile is


@pytest.fixture
def dockerfiles(world: World, web: WebServer) -> World:
    """Dockerfiles that each say where they were."""

    def says(where: str) -> str:
        return f"FROM scratch\nLABEL where={where}\n"

    world.write("context/Dockerfile", says("context"))
    world.write("context/sub/Dockerfile", says("context/sub"))
    world.write("sub/Dockerfile", says("sub"))
    world.write("c.tar", tar({"Dockerfile": says("tar"), "sub/Dockerfile": says("tar/sub")}))
    world.write("lower.tar", tar({"dockerfile": says("tar/lower")}))
    web.pages["/c.tar"] = Page((world.directory / "c.tar").read_bytes())
    web.pages["/Dockerfile"] = Page(says("url").encode())
    return world


@pytest.mark.parametrize(
    ("context", "file", "where"),
    [
        ("context", "", "context"),
        ("context", "sub/Dockerfile", "sub"),
        ("context", "-", "stdin"),
        ("context", "{url}/Dockerfile", "url"),
        ("c.tar", "", "tar"),
        ("c.tar", "sub/Dockerfile", "tar/sub"),
        ("c.tar", "./sub/../Dockerfile", "tar"),
        ("c.tar", "{here}/sub/Dockerfile", "sub"),
        ("c.tar", "-", "stdin"),
        ("lower.tar", "", "tar/lower"),
        ("{url}/c.tar", "", "tar"),
        ("{url}/c.tar", "sub/Dockerfile", "tar/sub"),
        ("{url}/c.tar", "{here}/sub/Dockerfile", "sub"),
        ("{url}/c.tar", "{url}/Dockerfile", "url"),
        ("{url}/Dockerfile", "", "url"),
        ("{url}/Dockerfile", "-", "stdin"),
        ("{url}/Dockerfile", "{here}/sub/Dockerfile", "sub"),
    ],
)
def test_where_the_dockerfile_is(dockerfiles: World, web: WebServer, context: str, file: str, where: str) -> None:
    names = {"url": web.url(""), "here": str(dockerfiles.directory)}
    result = dockerfiles.build(
        context.format(**names), file=file.format(**names), stdin=b"FROM scratch\nLABEL where=stdin\n"
    )
    assert result.images[0].config.value.config.labels == {"where": where}


def test_a_tar_on_standard_input_takes_its_dockerfile_from_inside(dockerfiles: World, web: WebServer) -> None:
    data = (dockerfiles.directory / "c.tar").read_bytes()
    for file, where in [("sub/Dockerfile", "tar/sub"), ("/sub/Dockerfile", "tar/sub"), (web.url("/Dockerfile"), "url")]:
        result = dockerfiles.build("-", stdin=data, file=file)
        assert result.images[0].config.value.config.labels == {"where": where}


def test_a_dockerfile_in_a_tar_may_be_a_link_and_stays_inside(world: World) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, link in [("Dockerfile", "/real"), ("evil", "../../../../etc/passwd")]:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, link
            archive.addfile(info)
        info = tarfile.TarInfo("real")
        info.size = len(ALL)
        archive.addfile(info, io.BytesIO(ALL.encode()))
    world.build("-", stdin=out.getvalue())
    with pytest.raises(UsageError, match="open evil: no such file"):
        world.build("-", stdin=out.getvalue(), file="evil")


def test_ignore_rules_count_for_directories(world: World, web: WebServer) -> None:
    for name, content in CONTEXT.items():
        world.write(f"context/{name}", content)
    web.pages["/Dockerfile"] = Page(ALL.encode())
    for file in ("", web.url("/Dockerfile")):
        world.build(file=file)
        assert world.contents() == {path: text for path, text in COPIED.items() if path != "file"}


# repositories


@pytest.fixture(scope="module")
def git(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    with git_server(tmp_path_factory.mktemp("git")) as server:
        repository = server.repository("app")
        repository.commit(
            {"Dockerfile": ALL, "file": "one", ".dockerignore": "file\n", "sub/Dockerfile": ALL, "sub/x": "x"}
        )
        repository.git("tag", "v1")
        repository.commit({"file": "two"})
        yield server


@pytest.mark.needs_git
@pytest.mark.parametrize(
    ("fragment", "files"),
    [
        ("", {"Dockerfile", ".dockerignore", "file", "sub/Dockerfile", "sub/x"}),
        ("#v1:sub", {"Dockerfile", "x"}),
        ("?branch=main&subdir=sub", {"Dockerfile", "x"}),
    ],
)
def test_a_repository(world: World, git: GitServer, fragment: str, files: set[str]) -> None:
    world.build(git.url("app") + fragment)
    assert set(world.contents()) == files
    world.build(git.url("app") + fragment)
    assert len(world.steps.cached) == 1


@pytest.mark.needs_git
def test_git_directories_of_contexts(world: World, git: GitServer) -> None:
    world.build(f"{git.url('app')}?keep-git-dir=true")
    assert ".git/HEAD" in world.contents()
    world.build(git.url("app"), build_args={"BUILDKIT_CONTEXT_KEEP_GIT_DIR": "1"})
    assert ".git/HEAD" in world.contents()
    world.build(git.url("app"), build_args={"BUILDKIT_CONTEXT_KEEP_GIT_DIR": "0"})
    assert ".git/HEAD" not in world.contents()


@pytest.mark.needs_git
def test_commit_times_of_a_context(world: World, git: GitServer) -> None:
    world.build(f"{git.url('app')}?mtime=commit")
    assert world.files()["file"] == f"644 0:0 {COMMIT_TIME} two"


@pytest.mark.needs_git
def test_dockerfiles_for_a_repository(world: World, git: GitServer) -> None:
    world.write("Dockerfile", "FROM scratch\nCOPY sub/x /\n")
    for file, stdin in [("-", b"FROM scratch\nCOPY sub/x /\n"), (str(world.directory / "Dockerfile"), None)]:
        world.build(git.url("app"), file=file, stdin=stdin)
        assert world.contents() == {"x": "x"}
    with pytest.raises(UsageError, match="open nope: no such file or directory"):
        world.build(git.url("app"), file="nope")


@pytest.mark.needs_git
def test_a_directory_wins_over_a_reference(world: World) -> None:
    world.write("github.com/user/repo/Dockerfile", ALL)
    world.build("github.com/user/repo")
    assert set(world.contents()) == {"Dockerfile"}


# named contexts


@pytest.mark.needs_git
def test_named_contexts(world: World, git: GitServer, web: WebServer) -> None:
    web.pages["/t.tgz"] = Page(gzip.compress(tar({"a": "archive"})))
    web.pages["/f"] = Page(b"plain")
    world.write("local.tar", tar({"b": "local"}))
    world.write("dir/c", "dir")
    world.write("dir/ignored", "x")
    world.write("dir/.dockerignore", "ignored\n")
    world.write(
        "context/Dockerfile",
        "FROM scratch\nCOPY --from=git sub/x /\nCOPY --from=archive a /\nCOPY --from=url context /\n"
        "COPY --from=tar . /\nCOPY --from=dir . /dir/\n",
    )
    contexts = {
        "git": f"{git.url('app')}#v1",
        "archive": web.url("/t.tgz"),
        "url": web.url("/f"),
        "tar": "local.tar",
        "dir": "dir",
        "unused": web.url("/unused"),
    }
    world.build(build_contexts=contexts)
    assert world.contents() == {
        "x": "x",
        "a": "archive",
        "context": "plain",
        "b": "local",
        "dir/c": "dir",
        "dir/.dockerignore": "ignored",
    }
    assert sorted(set(web.paths())) == ["/f", "/t.tgz"]


@pytest.mark.needs_git
def test_a_named_context_in_the_place_of_a_stage(world: World, git: GitServer, web: WebServer) -> None:
    web.pages["/t.tgz"] = Page(gzip.compress(tar({"a": "archive"})))
    world.write("context/Dockerfile", "FROM nowhere.example.com/x AS base\nFROM base\nCOPY --from=base a /b\n")
    world.build(build_contexts={"base": web.url("/t.tgz")})
    assert world.contents() == {"a": "archive", "b": "archive"}


@pytest.mark.needs_git
def test_an_error_of_a_named_context_is_at_the_line_that_uses_it(world: World, web: WebServer) -> None:
    world.write("context/Dockerfile", "FROM scratch\nCOPY --from=x a /\n")
    with pytest.raises(BuildError, match="invalid response status 404") as caught:
        world.build(build_contexts={"x": web.url("/nope")})
    assert caught.value.location is not None
    assert caught.value.location.line == 2


def test_a_pipe_as_standard_input_of_the_command(world: World) -> None:
    """The program itself, with a stream that cannot be sought in."""
    command = [sys.executable, "-m", "pyoci", "build", "--store", str(world.store), "-q", "-t", "x", "-"]
    done = subprocess.run(
        command, input=gzip.compress(tar(CONTEXT)), capture_output=True, cwd=world.directory, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"sha256:")
