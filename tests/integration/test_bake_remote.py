"""`pyoci bake URL`: definitions of repositories, archives and URLs are built, with their directories for contexts."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.integration.fetch.git_server import GitServer, git_server
from tests.integration.fetch.web_server import Page, WebServer, web_server
from tests.integration.test_bake import Bake

DEFINITION = """
group "default" {
  targets = ["app", "root"]
}
target "app" {
  context = "app"
  contexts = { docs = "docs" }
  output = ["type=local,dest=out-app"]
}
target "root" {
  dockerfile = "app/Root.Dockerfile"
  output = ["type=local,dest=out-root"]
}
"""
FILES = {
    "docker-bake.hcl": DEFINITION,
    "app/Dockerfile": "FROM scratch\nCOPY main.txt /\nCOPY --from=docs guide.txt /\n",
    "app/main.txt": "main\n",
    "app/Root.Dockerfile": "FROM scratch\nCOPY docs/guide.txt /\n",
    "docs/guide.txt": "guide\n",
}


@pytest.fixture
def bake(tmp_path: Path) -> Bake:
    return Bake(tmp_path)


@pytest.fixture
def git(tmp_path: Path) -> Iterator[GitServer]:
    (tmp_path / "git").mkdir()
    with git_server(tmp_path / "git") as server:
        yield server


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


def archive(files: Mapping[str, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return out.getvalue()


def made(bake: Bake, name: str) -> dict[str, str]:
    """What an output directory holds."""
    return {path.name: path.read_text() for path in (bake.directory / f"out-{name}").iterdir()}


def check_both(bake: Bake) -> None:
    assert made(bake, "app") == {"main.txt": "main\n", "guide.txt": "guide\n"}
    assert made(bake, "root") == {"guide.txt": "guide\n"}


def test_a_repository(bake: Bake, git: GitServer) -> None:
    git.repository("project").commit(FILES)
    done = bake(git.url("project"))
    assert done.returncode == 0, done.stderr
    check_both(bake)


def test_a_directory_of_a_repository(bake: Bake, git: GitServer) -> None:
    git.repository("project").commit({f"below/{name}": text for name, text in FILES.items()})
    done = bake(f"{git.url('project')}#main:below")
    assert done.returncode == 0, done.stderr
    check_both(bake)


def test_an_archive(bake: Bake, web: WebServer) -> None:
    web.pages["/project.tar.gz"] = Page(archive(FILES))
    done = bake(web.url("/project.tar.gz"))
    assert done.returncode == 0, done.stderr
    check_both(bake)
    assert not list((bake.directory.parent / "store" / "tmp").glob("bake-*"))


def test_a_directory_that_an_archive_does_not_have(bake: Bake, web: WebServer) -> None:
    web.pages["/project.tar.gz"] = Page(archive({"docker-bake.hcl": 'target "default" {\n context = "../x"\n}\n'}))
    done = bake(web.url("/project.tar.gz"))
    assert done.returncode == 2
    assert f'target default: there is no directory "../x" in {web.url("/project.tar.gz")}' in done.stderr


def test_a_file_behind_a_url_has_contexts_here(bake: Bake, web: WebServer) -> None:
    web.pages["/docker-bake.hcl"] = Page(DEFINITION.encode())
    for name, text in FILES.items():
        bake.write(name, text)
    done = bake(web.url("/docker-bake.hcl"))
    assert done.returncode == 0, done.stderr
    check_both(bake)


def test_a_context_here_for_a_definition_elsewhere(bake: Bake, git: GitServer) -> None:
    text = """
        target "default" {
          context = BAKE_CMD_CONTEXT
          dockerfile-inline = "FROM scratch\\nCOPY mine.txt /"
          output = ["type=local,dest=out-default"]
        }
    """
    git.repository("project").commit({"docker-bake.hcl": text})
    bake.write("mine.txt", "mine\n")
    done = bake(git.url("project"))
    assert done.returncode == 0, done.stderr
    assert made(bake, "default") == {"mine.txt": "mine\n"}


@pytest.mark.parametrize("name", ["BUILDX_BAKE_GIT_AUTH_TOKEN", "BUILDX_BAKE_GIT_AUTH_HEADER"])
def test_a_repository_that_wants_a_token(bake: Bake, git: GitServer, web: WebServer, name: str) -> None:
    git.repository("project").commit(FILES)
    web.repositories = git.served
    basic = base64.b64encode(b"x-access-token:s3cret").decode()
    web.git_authorization = f"Basic {basic}"
    url = web.url("/git/project.git")
    refused = bake(url)
    assert refused.returncode == 1
    value = "s3cret" if name.endswith("TOKEN") else f"Basic {basic}"
    done = bake(url, env={name: value})
    assert done.returncode == 0, done.stderr
    check_both(bake)
    assert "s3cret" not in done.stderr + done.stdout
    assert basic not in done.stderr + done.stdout


def test_a_definition_elsewhere_reaches_nothing_here_that_is_not_allowed(bake: Bake, git: GitServer) -> None:
    secret = bake.directory.parent / "secret.txt"
    secret.write_text("x")
    text = f"""
        target "default" {{
          dockerfile-inline = "FROM scratch\\nCOPY docker-bake.hcl /"
          secret = ["id=s,src={secret}"]
          output = ["type=local,dest={bake.directory.parent}/out"]
        }}
    """
    git.repository("project").commit({"docker-bake.hcl": text})
    refused = bake(git.url("project"))
    assert refused.returncode == 2
    parent = bake.directory.parent
    assert (
        f"error: target default asks for more than is allowed: fs.read={secret}, fs.write={parent}/out"
        in refused.stderr.replace(str(parent.resolve()), str(parent))
    )
    assert not (parent / "out").exists()
    done = bake(git.url("project"), f"--allow=fs.read={secret}", f"--allow=fs.write={parent}")
    assert done.returncode == 0, done.stderr
    assert (parent / "out" / "docker-bake.hcl").exists()
    assert bake(git.url("project"), env={"BUILDX_BAKE_ENTITLEMENTS_FS": "0"}).returncode == 0


def test_the_targets_of_a_repository_are_listed(bake: Bake, git: GitServer) -> None:
    git.repository("project").commit(FILES)
    done = bake(git.url("project"), "--list", "type=targets,format=json")
    assert [row["name"] for row in json.loads(done.stdout)] == ["app", "default", "root"]


def test_a_dockerfile_here_for_a_context_elsewhere(bake: Bake, git: GitServer) -> None:
    text = 'target "default" {\n dockerfile = "cwd://Mine"\n output = ["type=local,dest=out-default"]\n}\n'
    git.repository("project").commit({"docker-bake.hcl": text, "theirs.txt": "theirs\n", "Mine": "FROM nothing\n"})
    bake.write("Mine", "FROM scratch\nCOPY theirs.txt /\n")
    done = bake(git.url("project"))
    assert done.returncode == 0, done.stderr
    assert made(bake, "default") == {"theirs.txt": "theirs\n"}
