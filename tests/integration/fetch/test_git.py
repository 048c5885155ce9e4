"""Repositories over git, HTTP and plain files: what references mean, what checkouts hold, what hostile ones may not do.

What they must hold was held against BuildKit v0.26 by building the same sources.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from pyoci.api.web import Web
from pyoci.errors import BuildError, Cancelled
from pyoci.fetch.git import Checkout, GitFetcher, GitSource
from pyoci.fetch.git_command import Git
from pyoci.fetch.protocols import Ssh
from pyoci.registry.hosts import HostsConfig
from pyoci.store import Store
from tests.integration.fetch.git_server import COMMIT_TIME, GitServer, SourceRepository, git_server
from tests.integration.fetch.web_server import Page, WebServer, web_server

pytestmark = pytest.mark.needs_git


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    with git_server(tmp_path_factory.mktemp("git")) as server:
        yield server


@pytest.fixture(scope="module")
def app(server: GitServer) -> SourceRepository:
    """Two commits on main, the first one with tags and other branches."""
    repository = server.repository("app")
    (repository.work / "run.sh").write_text("#!/bin/sh\n")
    (repository.work / "run.sh").chmod(0o775)
    (repository.work / "link").symlink_to("docs/readme")
    (repository.work / "up").symlink_to("..")
    repository.commit({"file": "one\n", "docs/readme": "read\n"})
    repository.git("tag", "light")
    repository.git("tag", "--annotate", "v1", "--message=v1")
    repository.git("branch", "old")
    repository.git("branch", "both")
    repository.commit({"file": "two\n"}, time=COMMIT_TIME + 5)
    repository.git("tag", "both")
    repository.push()
    return repository


@contextlib.contextmanager
def fetching(
    directory: Path,
    secrets: Mapping[str, bytes] | None = None,
    *,
    variables: Mapping[str, str] | None = None,
    offline: bool = False,
    cancelled: threading.Event | None = None,
) -> Iterator[GitFetcher]:
    secret: Callable[[str], bytes | None] = (secrets or {}).get
    with Store(directory / "store") as store:
        web = Web(HostsConfig)
        try:
            yield GitFetcher(
                store,
                secret,
                variables={"PATH": os.environ["PATH"]} if variables is None else variables,
                get=web.get,
                offline=offline,
                cancelled=cancelled,
            )
        finally:
            web.close()


def checked_out(fetcher: GitFetcher, source: GitSource) -> Checkout:
    return fetcher.checkout(source, fetcher.resolve(source))


def listing(directory: Path) -> dict[str, str]:
    """Type, permissions and content of everything, as one line each."""
    found = {}
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        what = str(path.readlink()) if path.is_symlink() else path.read_text() if path.is_file() else "/"
        mode = "" if path.is_symlink() else f"{status.st_mode & 0o7777:o} "
        found[path.relative_to(directory).as_posix()] = mode + what.rstrip("\n")
    return found


FIRST = {
    "docs": "755 /",
    "docs/readme": "644 read",
    "file": "644 one",
    "link": "docs/readme",
    "run.sh": "755 #!/bin/sh",
    "up": "..",
}
SECOND = {**FIRST, "file": "644 two"}


@pytest.mark.parametrize(
    ("reference", "name", "files"),
    [
        ("", "refs/heads/main", SECOND),
        ("main", "refs/heads/main", SECOND),
        ("heads/main", "refs/heads/main", SECOND),
        ("refs/heads/old", "refs/heads/old", FIRST),
        ("light", "refs/tags/light", FIRST),
        ("tags/v1", "refs/tags/v1", FIRST),
        ("refs/tags/v1", "refs/tags/v1", FIRST),
        ("v1", "refs/tags/v1", FIRST),
        ("both", "refs/heads/both", FIRST),
        ("refs/tags/both", "refs/tags/both", SECOND),
    ],
)
def test_references(
    tmp_path: Path, server: GitServer, app: SourceRepository, reference: str, name: str, files: Mapping[str, str]
) -> None:
    source = GitSource(server.url("app"), reference)
    with fetching(tmp_path) as fetcher:
        resolved = fetcher.resolve(source)
        assert resolved.name == name
        assert resolved.object == app.git("rev-parse", name)
        assert resolved.commit == app.git("rev-parse", f"{name}^{{commit}}")
        checkout = fetcher.checkout(source, resolved)
    assert listing(checkout.directory) == files
    assert checkout.commit_time == COMMIT_TIME + (5 if files is SECOND else 0)


def test_the_umask_of_the_user_changes_nothing(tmp_path: Path, server: GitServer, app: SourceRepository) -> None:
    before = os.umask(0o077)
    try:
        with fetching(tmp_path) as fetcher:
            checkout = checked_out(fetcher, GitSource(server.url("app")))
    finally:
        os.umask(before)
    assert {**listing(checkout.directory)} == SECOND


def test_a_commit_needs_no_look_up_and_no_second_fetch(
    tmp_path: Path, server: GitServer, app: SourceRepository
) -> None:
    commit = app.git("rev-parse", "light")
    source = GitSource(server.url("app"), commit)
    with fetching(tmp_path) as fetcher:
        assert listing(checked_out(fetcher, source).directory) == FIRST
    with fetching(tmp_path, offline=True) as fetcher:
        assert listing(checked_out(fetcher, source).directory) == FIRST
        other = GitSource("git://127.0.0.1:1/elsewhere.git", commit)
        assert fetcher.checkout(other, fetcher.resolve(other)) == checked_out(fetcher, source)


def test_a_commit_that_no_reference_points_to(tmp_path: Path, server: GitServer) -> None:
    repository = server.repository("moved-on")
    first = repository.commit({"file": "one"})
    repository.commit({"file": "two"})
    with fetching(tmp_path) as fetcher:
        assert listing(checked_out(fetcher, GitSource(server.url("moved-on"), first)).directory) == {"file": "644 one"}
        missing = GitSource(server.url("moved-on"), "0" * 40)
        with pytest.raises(BuildError, match="failed to fetch remote"):
            checked_out(fetcher, missing)


@pytest.mark.parametrize(
    ("reference", "checksum", "problem"),
    [
        ("nope", "", "repository does not contain ref nope"),
        ("main", "abc", "expected checksum to match abc, got "),
        ("v1", "abc", "expected checksum to match abc, got [0-9a-f]{40} or [0-9a-f]{40}"),
        ("1" * 40, "abc", f"expected checksum to match abc, got {'1' * 40}"),
    ],
)
def test_what_is_not_there_or_another_commit(
    tmp_path: Path, server: GitServer, app: SourceRepository, reference: str, checksum: str, problem: str
) -> None:
    with fetching(tmp_path) as fetcher, pytest.raises(BuildError, match=problem):
        fetcher.resolve(GitSource(server.url("app"), reference, checksum))


def test_a_checksum_may_be_that_of_the_tag_or_its_commit(
    tmp_path: Path, server: GitServer, app: SourceRepository
) -> None:
    with fetching(tmp_path) as fetcher:
        for name in ("v1", "v1^{}"):
            fetcher.resolve(GitSource(server.url("app"), "v1", app.git("rev-parse", name)[:9]))


def test_fetch_by_commit_asks_for_the_commit_alone(tmp_path: Path, server: GitServer) -> None:
    repository = server.repository("by-commit")
    first = repository.commit({"file": "one"})
    repository.commit({"file": "two"})
    source = GitSource(server.url("by-commit"), "main", first, fetch_by_commit=True, keep_git_directory=True)
    with fetching(tmp_path) as fetcher:
        resolved = fetcher.resolve(source)
        assert (resolved.name, resolved.commit) == ("refs/heads/main", first)
        directory = fetcher.checkout(source, resolved).directory
        assert (directory / "file").read_text() == "one"
        assert (directory / ".git/refs/heads/main").read_text().strip() == first
        for checksum, problem in [("", "requires a checksum"), ("abc", "requires a full commit SHA checksum")]:
            with pytest.raises(BuildError, match=problem):
                fetcher.resolve(GitSource(server.url("by-commit"), "main", checksum, fetch_by_commit=True))


def test_branches_and_tags_that_move_are_followed(tmp_path: Path, server: GitServer) -> None:
    repository = server.repository("moving")
    repository.commit({"file": "one"})
    repository.git("tag", "t")
    repository.push()
    for content in ("one", "two"):
        for reference in ("main", "t"):
            with fetching(tmp_path) as fetcher:
                checkout = checked_out(fetcher, GitSource(server.url("moving"), reference))
            assert listing(checkout.directory) == {"file": f"644 {content}"}
        if content == "one":
            repository.commit({"file": "two"})
            repository.git("tag", "--force", "t")
            repository.push()


def test_a_branch_may_become_the_directory_of_another(tmp_path: Path, server: GitServer) -> None:
    repository = server.repository("renamed")
    repository.commit({"file": "one"})
    repository.git("branch", "x")
    repository.push()
    with fetching(tmp_path) as fetcher:
        checked_out(fetcher, GitSource(server.url("renamed"), "x"))
    repository.git("branch", "--delete", "x")
    repository.git("branch", "x/y")
    repository.commit({"file": "two"})
    with fetching(tmp_path) as fetcher:
        assert listing(checked_out(fetcher, GitSource(server.url("renamed"), "x/y")).directory) == {"file": "644 one"}


def test_subdirectories(tmp_path: Path, server: GitServer, app: SourceRepository) -> None:
    with fetching(tmp_path) as fetcher:
        checkout = checked_out(fetcher, GitSource(server.url("app"), subdirectory="docs", keep_git_directory=True))
        assert listing(checkout.directory) == {"readme": "644 read"}
        for subdirectory, problem in [
            ("nope", 'does not have "nope"'),
            ("file", 'contains non-directory "file"'),
            ("docs/readme/x", 'contains non-directory "docs/readme"'),
            ("up/etc", 'contains non-directory "up"'),
        ]:
            with pytest.raises(BuildError, match=problem):
                checked_out(fetcher, GitSource(server.url("app"), subdirectory=subdirectory))


def git_in(directory: Path, *arguments: str) -> str:
    environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null", "HOME": "/nonexistent"}
    done = subprocess.run(
        ["git", *arguments], cwd=directory, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("reference", ["main", "v1", "light", "commit"])
def test_a_kept_repository_works_and_is_the_same_everywhere(
    tmp_path: Path, server: GitServer, app: SourceRepository, reference: str
) -> None:
    reference = app.git("rev-parse", "old") if reference == "commit" else reference
    source = GitSource(server.url("app"), reference, keep_git_directory=True)
    copies = []
    for number, warmed in enumerate(("main", "old")):
        with fetching(tmp_path / str(number)) as fetcher:
            checked_out(fetcher, GitSource(server.url("app"), warmed))  # other objects in the bare repository
            copies.append(checked_out(fetcher, source).directory)
    first, second = (dict(contents(copy)) for copy in copies)
    assert first == second
    assert git_in(copies[0], "rev-parse", "HEAD") == app.git("rev-parse", f"{reference}^{{commit}}")
    assert git_in(copies[0], "log", "--format=%s") == "change"
    assert git_in(copies[0], "status", "--porcelain") == ""
    assert git_in(copies[0], "remote", "get-url", "origin") == server.url("app")
    assert not (copies[0] / ".git/hooks").exists()
    assert not (copies[0] / ".git/logs").exists()
    if reference == "v1":
        assert git_in(copies[0], "describe") == "v1"
    git_in(copies[0], "fsck", "--strict")


def contents(directory: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(directory.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path.relative_to(directory).as_posix(), path.read_bytes()


@pytest.fixture(scope="module")
def nested(server: GitServer) -> SourceRepository:
    """A submodule by a relative URL, which has one of its own."""
    inner = server.repository("inner")
    inner.commit({"inner-file": "inner"})
    middle = server.repository("middle")
    middle.commit({"middle-file": "middle"})
    add_submodule(middle, inner, "deep", "../inner.git")
    outer = server.repository("outer")
    outer.commit({"outer-file": "outer"})
    add_submodule(outer, middle, "sub", "../middle.git")
    return outer


def add_submodule(repository: SourceRepository, module: SourceRepository, path: str, url: str) -> None:
    repository.git("submodule", "--quiet", "add", str(module.bare), path)
    repository.git("config", "--file=.gitmodules", f"submodule.{path}.url", url)
    repository.commit({})


def test_submodules_are_there_without_anything_of_git(
    tmp_path: Path, server: GitServer, nested: SourceRepository
) -> None:
    with fetching(tmp_path) as fetcher:
        files = listing(checked_out(fetcher, GitSource(server.url("outer"))).directory)
        assert {path for path, what in files.items() if what[-1] != "/"} == {
            ".gitmodules",
            "outer-file",
            "sub/.gitmodules",
            "sub/deep/inner-file",
            "sub/middle-file",
        }
        without = listing(checked_out(fetcher, GitSource(server.url("outer"), submodules=False)).directory)
        assert {path for path in without if path.startswith("sub")} == {"sub"}


def test_submodules_of_a_kept_repository(tmp_path: Path, server: GitServer, nested: SourceRepository) -> None:
    source = GitSource(server.url("outer"), keep_git_directory=True)
    copies = []
    for number in range(2):
        with fetching(tmp_path / str(number)) as fetcher:
            copies.append(checked_out(fetcher, source).directory)
    assert dict(contents(copies[0])) == dict(contents(copies[1]))
    assert git_in(copies[0], "submodule", "status", "--recursive").count("\n") == 1
    assert git_in(copies[0], "status", "--porcelain") == ""
    assert git_in(copies[0] / "sub/deep", "log", "--format=%s") == "change"
    assert str(tmp_path) not in (copies[0] / "sub/.git").read_text()


@pytest.mark.parametrize("url", ["file:///etc", "/etc", "ext::touch hacked", "fd::3"])
def test_submodules_come_from_the_network_alone(
    tmp_path: Path, server: GitServer, app: SourceRepository, url: str
) -> None:
    name = f"evil-{abs(hash(url))}"
    repository = server.repository(name)
    repository.commit({"file": "x"})
    add_submodule(repository, app, "sub", url)
    with fetching(tmp_path) as fetcher, pytest.raises(BuildError, match="failed to update submodules"):
        checked_out(fetcher, GitSource(server.url(name)))
    assert not list((tmp_path / "store/git/checkouts").iterdir())
    assert not [path for path in (tmp_path / "store/tmp").iterdir() if not path.name.endswith(".lock")]


def test_attributes_of_the_repository_run_nothing(tmp_path: Path, server: GitServer) -> None:
    repository = server.repository("attributes")
    repository.commit({".gitattributes": "* filter=lfs\n*.txt text eol=crlf\n", "a.txt": "one\n", "b": "two\n"})
    with fetching(tmp_path) as fetcher:
        directory = checked_out(fetcher, GitSource(server.url("attributes"))).directory
    assert (directory / "a.txt").read_bytes() == b"one\r\n"  # as git checkout makes it, and BuildKit with it
    assert (directory / "b").read_bytes() == b"two\n"


def test_configuration_of_the_user_does_not_count(tmp_path: Path, server: GitServer, app: SourceRepository) -> None:
    home = tmp_path / "home"
    (home / "hooks").mkdir(parents=True)
    (home / "hooks/post-checkout").write_text(f"#!/bin/sh\ntouch {tmp_path}/hacked\n")
    (home / "hooks/post-checkout").chmod(0o755)
    (home / ".gitconfig").write_text(
        f'[url "git://127.0.0.1:1/"]\n\tinsteadOf = {server.url("app")}\n[core]\n\thooksPath = {home}/hooks\n'
    )
    variables = {"PATH": os.environ["PATH"], "HOME": str(home), "GIT_DIR": str(home), "GIT_TRACE": str(tmp_path / "t")}
    with fetching(tmp_path, variables=variables) as fetcher:
        checked_out(fetcher, GitSource(server.url("app"), keep_git_directory=True))
    assert not (tmp_path / "hacked").exists()
    assert not (tmp_path / "t").exists()


def test_what_git_is_told(tmp_path: Path) -> None:
    """With a stand-in for git that shows its environment."""
    program = tmp_path / "git"
    program.write_text("#!/bin/sh\nenv\npwd\n")
    program.chmod(0o755)
    variables = {"PATH": "/bin:/usr/bin", "HOME": "/root", "GIT_SSL_NO_VERIFY": "1", "https_proxy": "http://proxy"}
    git = Git(str(program), variables, (("http.https://h/.extraHeader", "Authorization: x"),))
    for protocols, allowed in [("https", "https"), ("", "none")]:
        lines = git.text("fetch", protocols=protocols).splitlines()
        told = dict(line.split("=", 1) for line in lines if "=" in line)
        assert lines[-1] == "/"
        config = {
            told[f"GIT_CONFIG_KEY_{n}"]: told[f"GIT_CONFIG_VALUE_{n}"] for n in range(int(told["GIT_CONFIG_COUNT"]))
        }
        assert told["GIT_ALLOW_PROTOCOL"] == allowed
        assert told["HOME"] == told["XDG_CONFIG_HOME"] == told["GIT_CONFIG_GLOBAL"] == "/dev/null"
        assert (told["GIT_CONFIG_NOSYSTEM"], told["GIT_TERMINAL_PROMPT"], told["GIT_TEMPLATE_DIR"]) == ("1", "0", "")
        assert told["https_proxy"] == "http://proxy"
        assert "GIT_SSL_NO_VERIFY" not in told
        assert config["core.hooksPath"] == "/dev/null"
        assert config["pack.threads"] == "1"
        assert config["http.https://h/.extraHeader"] == "Authorization: x"


def test_a_kept_repository_of_many_files_is_the_same_everywhere(tmp_path: Path, server: GitServer) -> None:
    """Of more objects than git unpacks, so that they come as a pack, with the deltas that the server happens to use."""
    repository = server.repository("many")
    lines = [f"line {number} {'x' * (number % 50)}" for number in range(300)]
    first = repository.commit({f"file-{n}": "\n".join(lines[n:] + lines[:n]) for n in range(150)})
    repository.commit({f"file-{n}": "\n".join(lines[: n + 50]) for n in range(100)})
    source = GitSource(server.url("many"), "main", keep_git_directory=True)
    copies = []
    for warmed, window in (("main", 0), (first, 50)):
        repository.git("--git-dir", str(repository.bare), "repack", "-a", "-d", "-f", "-q", f"--window={window}")
        with fetching(tmp_path / warmed) as fetcher:
            checked_out(fetcher, GitSource(server.url("many"), warmed))
            copies.append(dict(contents(checked_out(fetcher, source).directory)))
    assert copies[0] == copies[1]
    assert len([path for path in copies[0] if path.endswith(".pack")]) == 1


def test_without_git_the_error_says_so(tmp_path: Path) -> None:
    nowhere = {"PATH": str(tmp_path)}
    with fetching(tmp_path, variables=nowhere) as fetcher, pytest.raises(BuildError, match="git is not installed"):
        fetcher.resolve(GitSource("git://127.0.0.1:1/x.git"))


def test_an_old_git_is_refused(tmp_path: Path) -> None:
    (tmp_path / "git").write_text("#!/bin/sh\necho git version 2.30.9\n")
    (tmp_path / "git").chmod(0o755)
    old = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    with (
        fetching(tmp_path, variables=old) as fetcher,
        pytest.raises(BuildError, match=r"git version 2\.30\.9 is too old"),
    ):
        fetcher.resolve(GitSource("git://127.0.0.1:1/x.git"))


def test_an_interrupted_command_stops(tmp_path: Path, server: GitServer, app: SourceRepository) -> None:
    cancelled = threading.Event()
    cancelled.set()
    with fetching(tmp_path, cancelled=cancelled) as fetcher, pytest.raises(Cancelled):
        fetcher.resolve(GitSource(server.url("app")))


def test_several_threads_and_stores_check_out_once(tmp_path: Path, server: GitServer, app: SourceRepository) -> None:
    found: list[Checkout] = []
    with fetching(tmp_path) as one, fetching(tmp_path) as other:

        def work(fetcher: GitFetcher, reference: str) -> None:
            found.append(checked_out(fetcher, GitSource(server.url("app"), reference)))

        threads = [
            threading.Thread(target=work, args=(fetcher, name)) for fetcher in (one, other) for name in ("main", "") * 3
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(found) == 12
    assert len({checkout.directory for checkout in found}) == 1
    assert listing(found[0].directory) == SECOND


def test_repositories_of_sha256(tmp_path: Path, server: GitServer) -> None:
    repository = server.repository("sha256", form="sha256")
    commit = repository.commit({"file": "one"})
    assert len(commit) == 64
    for keep in (False, True):
        with fetching(tmp_path) as fetcher:
            source = GitSource(server.url("sha256"), commit, keep_git_directory=keep)
            assert (checked_out(fetcher, source).directory / "file").read_text() == "one"


def test_an_empty_commit_is_an_empty_directory(tmp_path: Path, server: GitServer) -> None:
    repository = server.repository("empty")
    repository.git("commit", "--quiet", "--allow-empty", "--message=empty")
    repository.push()
    with fetching(tmp_path) as fetcher:
        assert listing(checked_out(fetcher, GitSource(server.url("empty"))).directory) == {}


def test_offline_means_what_was_fetched_before(tmp_path: Path, server: GitServer, app: SourceRepository) -> None:
    source = GitSource(server.url("app"))
    with fetching(tmp_path, offline=True) as fetcher, pytest.raises(BuildError, match="network is not to be used"):
        fetcher.resolve(source)
    with fetching(tmp_path) as fetcher:
        before = checked_out(fetcher, source)
    with fetching(tmp_path, offline=True) as fetcher:
        assert checked_out(fetcher, source) == before
        kept = GitSource(server.url("app"), keep_git_directory=True)
        assert (checked_out(fetcher, kept).directory / ".git").is_dir()


# over HTTP


@pytest.fixture
def web(server: GitServer, app: SourceRepository) -> Iterator[WebServer]:
    with web_server() as web:
        web.repositories = server.served
        yield web


def basic(user: str, password: str) -> str:
    import base64

    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_over_http(tmp_path: Path, web: WebServer) -> None:
    with fetching(tmp_path) as fetcher:
        assert listing(checked_out(fetcher, GitSource(web.url("/git/app.git"), "v1")).directory) == FIRST


@pytest.mark.parametrize(
    ("secrets", "header"),
    [
        ({"GIT_AUTH_TOKEN": b"t0ken-value\n"}, basic("x-access-token", "t0ken-value")),
        ({"GIT_AUTH_HEADER": b"basic dDprZW4tdmFsdWU="}, "basic dDprZW4tdmFsdWU="),
        ({"GIT_AUTH_TOKEN": b"wrong", "GIT_AUTH_TOKEN.{host}": b"right"}, basic("x-access-token", "right")),
        ({"GIT_AUTH_HEADER": b"Bearer a", "GIT_AUTH_TOKEN": b"b"}, "Bearer a"),
        ({"GIT_AUTH_HEADER": b"Bearer a", "GIT_AUTH_TOKEN.{host}": b"b"}, basic("x-access-token", "b")),
    ],
)
def test_secrets(tmp_path: Path, web: WebServer, secrets: Mapping[str, bytes], header: str) -> None:
    host = f"127.0.0.1:{web.port}"
    web.git_authorization = header
    given = {name.format(host=host): value for name, value in secrets.items()}
    with fetching(tmp_path, given) as fetcher:
        source = GitSource(web.url("/git/app.git"), keep_git_directory=True)
        assert (checked_out(fetcher, source).directory / "file").read_text() == "two\n"
    for path, data in contents(tmp_path / "store"):
        for value in (*secrets.values(), header.encode()):
            assert value.strip() not in data or len(value) < 4, path


def test_the_urls_own_user_is_kept_nowhere(tmp_path: Path, web: WebServer) -> None:
    web.git_authorization = basic("user", "passw0rd")
    url = web.url("/git/app.git").replace("http://", "http://user:passw0rd@")
    with fetching(tmp_path) as fetcher:
        checkout = checked_out(fetcher, GitSource(url, keep_git_directory=True))
        assert git_in(checkout.directory, "remote", "get-url", "origin") == web.url("/git/app.git")
        with pytest.raises(BuildError, match="nope") as caught:
            fetcher.resolve(GitSource(url, "nope"))
    assert "passw0rd" not in f"{caught.value.message}{caught.value.hint}"
    for path, data in contents(tmp_path / "store"):
        assert b"passw0rd" not in data, path


def test_a_wrong_token_is_named_and_not_shown(tmp_path: Path, web: WebServer) -> None:
    web.git_authorization = "Bearer right"
    secrets = {"GIT_AUTH_TOKEN": b"wrong-t0ken"}
    with fetching(tmp_path, secrets) as fetcher, pytest.raises(BuildError, match="failed to fetch remote") as caught:
        fetcher.resolve(GitSource(web.url("/git/app.git")))
    assert "wrong-t0ken" not in f"{caught.value.message}{caught.value.hint}"
    assert "GIT_AUTH_TOKEN" in (caught.value.hint or "")


def test_a_token_is_for_its_repository_alone(tmp_path: Path, server: GitServer, web: WebServer) -> None:
    module = server.repository("public-module")
    module.commit({"file": "x"})
    repository = server.repository("with-public-module")
    repository.commit({"file": "y"})
    add_submodule(repository, module, "sub", "../public-module.git")
    with fetching(tmp_path, {"GIT_AUTH_TOKEN": b"t0ken"}) as fetcher:
        checked_out(fetcher, GitSource(web.url("/git/with-public-module.git")))
    sent = {asked.path.split("/")[2]: "authorization" in asked.headers for asked in web.asked}
    assert sent == {"with-public-module.git": True, "public-module.git": False}


def test_a_redirect_takes_no_token_to_another_host(tmp_path: Path, web: WebServer) -> None:
    target = web.url("/git/app.git/info/refs?service=git-upload-pack", host="localhost")
    web.pages["/moved.git/info/refs?service=git-upload-pack"] = Page(b"", 302, {"Location": target})
    with fetching(tmp_path, {"GIT_AUTH_TOKEN": b"t0ken"}) as fetcher:
        assert listing(checked_out(fetcher, GitSource(web.url("/moved.git"))).directory) == SECOND
    sent = {(asked.path.split("/")[1], "authorization" in asked.headers) for asked in web.asked}
    assert sent == {("moved.git", True), ("git", False)}


def test_git_itself_follows_no_redirect_with_a_token(tmp_path: Path, web: WebServer) -> None:
    """Whatever a server tells git that it did not tell us before: here nobody asks before git does."""
    target = web.url("/git/app.git/info/refs?service=git-upload-pack", host="localhost")
    web.pages["/moved.git/info/refs?service=git-upload-pack"] = Page(b"", 302, {"Location": target})
    secret = {"GIT_AUTH_TOKEN": b"t0ken"}.get
    with Store(tmp_path / "store") as store:
        fetcher = GitFetcher(store, secret, variables={"PATH": os.environ["PATH"]})
        with pytest.raises(BuildError, match="failed to fetch remote"):
            fetcher.resolve(GitSource(web.url("/moved.git")))
    assert {asked.path.split("/")[1] for asked in web.asked} == {"moved.git"}


def test_a_redirect_on_the_same_host_keeps_the_token(tmp_path: Path, web: WebServer) -> None:
    target = web.url("/git/app.git/info/refs?service=git-upload-pack")
    web.pages["/moved.git/info/refs?service=git-upload-pack"] = Page(b"", 301, {"Location": target})
    web.git_authorization = basic("x-access-token", "t0ken")
    with fetching(tmp_path, {"GIT_AUTH_TOKEN": b"t0ken"}) as fetcher:
        assert listing(checked_out(fetcher, GitSource(web.url("/moved.git"))).directory) == SECOND


def test_servers_that_know_neither_depth_nor_commits(
    tmp_path: Path, server: GitServer, app: SourceRepository, web: WebServer
) -> None:
    """The dumb protocol: plain files, no shallow fetches."""
    web.repositories = None
    for path in app.bare.rglob("*"):
        if path.is_file():
            web.pages[f"/dumb/{path.relative_to(app.bare)}"] = Page(path.read_bytes())
    web.pages["/dumb/info/refs?service=git-upload-pack"] = web.pages["/dumb/info/refs"]
    with fetching(tmp_path) as fetcher:
        assert listing(checked_out(fetcher, GitSource(web.url("/dumb"), "old")).directory) == FIRST
        commit = app.git("rev-parse", "main")
        assert listing(checked_out(fetcher, GitSource(web.url("/dumb"), commit)).directory) == SECOND


def test_servers_that_give_only_what_they_advertise(tmp_path: Path, server: GitServer, web: WebServer) -> None:
    repository = server.repository("advertised")
    first = repository.commit({"file": "one"})
    repository.commit({"file": "two"})
    web.git_is_old = True
    url = web.url("/git/advertised.git")
    with fetching(tmp_path) as fetcher:
        assert listing(checked_out(fetcher, GitSource(url)).directory) == {"file": "644 two"}  # makes it shallow
        assert listing(checked_out(fetcher, GitSource(url, first)).directory) == {"file": "644 one"}
        with pytest.raises(BuildError, match=f"commit {'1' * 40} can not be found in the repository"):
            checked_out(fetcher, GitSource(url, "1" * 40))


def test_over_ssh(tmp_path: Path, server: GitServer, app: SourceRepository) -> None:
    """With a stand-in for ssh that runs what it is asked to run, here."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "ssh").write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$SSH_AUTH_SOCK" "$@" > {tmp_path}/asked\n'
        f'for last; do :; done\ncd {server.served} && eval "$last"\n'
    )
    (programs / "ssh").chmod(0o755)
    variables = {"PATH": f"{programs}:{os.environ['PATH']}"}
    ssh = Ssh(agent=tmp_path / "agent", known_hosts=(tmp_path / "own hosts", tmp_path / "known_hosts"))
    with Store(tmp_path / "store") as store:
        fetcher = GitFetcher(store, lambda name: None, variables=variables, ssh=lambda: ssh)
        source = GitSource("git@example.com:app.git", "v1")
        assert listing(checked_out(fetcher, source).directory) == FIRST
    agent, *words = (tmp_path / "asked").read_text().splitlines()
    assert agent == str(tmp_path / "agent")
    assert words[:2] == ["-F", "/dev/null"]
    assert {"BatchMode=yes", "IdentityFile=none", "StrictHostKeyChecking=accept-new"} <= set(words)
    assert f'UserKnownHostsFile="{tmp_path}/own hosts" "{tmp_path}/known_hosts"' in words
    assert "git@example.com" in words


def test_ssh_needs_an_agent(tmp_path: Path) -> None:
    with fetching(tmp_path) as fetcher:
        for remote in ("git@127.0.0.1:x", "ssh://git@127.0.0.1/x"):
            with pytest.raises(BuildError, match='no SSH key "default" forwarded') as caught:
                fetcher.resolve(GitSource(remote))
            assert "--ssh default" in (caught.value.hint or "")
