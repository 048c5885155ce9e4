"""One remote: what its references mean now, and a bare repository in the store that keeps what was fetched of it.

Only what is asked for is fetched, without history. How names are looked up is BuildKit's (moby/buildkit source/git):
a branch wins over a tag, an annotated tag is known by itself and by its commit.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pyoci.errors import BuildError
from pyoci.fetch.git_command import Git, GitFailed
from pyoci.fetch.git_reference import is_commit
from pyoci.regex import regex
from pyoci.values import dataclass

__all__ = ["Repository", "Resolved", "fetch_failed", "lookup", "verify_checksum"]

_NOT_OFFERED = regex(r"not our ref|unadvertised object|does not allow request for|no such remote ref", re.IGNORECASE)
_NO_DEPTH = regex(r"--depth|shallow")
_HINTS: tuple[tuple[str, str], ...] = (
    ("could not read Username", "a private repository needs a token: --secret id=GIT_AUTH_TOKEN,env=VARIABLE"),
    ("Authentication failed", "check the token in the secret GIT_AUTH_TOKEN"),
    ("The requested URL returned error: 40", "check the URL; a private repository needs --secret id=GIT_AUTH_TOKEN"),
    ("not found", "check the URL; a private repository needs --secret id=GIT_AUTH_TOKEN"),
    ("Host key verification failed", "the host's key is another than the one in known_hosts"),
    ("Permission denied (publickey", "give an agent that holds the key: --ssh default"),
    ("cannot run ssh", "install an ssh client, or use the https address"),
    ("not allowed", "repositories and submodules are fetched over https, http, ssh and git alone"),
    ("unable to connect", "check the host and the port, and that this machine has a network"),
    ("Failed to connect", "check the host and the port; HTTPS_PROXY and NO_PROXY are honoured"),
    ("Could not resolve host", "check the spelling, and that this machine has a network"),
    ("SSL certificate problem", "trust the certificate authority with --ca-file"),
)


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a reference means."""

    name: str
    """The full reference (`refs/heads/main`); empty where a commit was named directly."""
    object: str
    """ID of the commit, or of the annotated tag."""
    commit: str
    """ID of the commit that a tag points to; as `object` where that is not known or the same."""
    by_id: bool = False
    """The remote is asked for the object; the name is for the checkout alone."""


def fetch_failed(shown: str, failure: GitFailed) -> BuildError:
    """The error for a remote that git could not get anything from."""
    text = str(failure)
    hint = next((hint for mark, hint in _HINTS if mark in text), None)
    return BuildError(f"failed to fetch remote {shown}: {failure.reason}", hint=hint)


def lookup(git: Git, remote: str, reference: str, protocols: str, *, shown: str) -> Resolved:
    """What a name means at the remote now; the empty name is the default branch.

    Raises:
        BuildError: the remote cannot be asked, or has nothing of that name.
    """
    patterns = ["--symref", "--", remote, "HEAD"] if not reference else ["--", remote, reference, reference + "^{}"]
    try:
        output = git.text("ls-remote", *patterns, protocols=protocols)
    except GitFailed as failure:
        raise fetch_failed(shown, failure) from failure
    found = {name: value for value, _, name in (line.partition("\t") for line in output.splitlines())}
    if not reference:
        branches = [line for line in output.splitlines() if line.startswith("ref: refs/heads/")]
        if not branches or "HEAD" not in found:
            raise BuildError(f"could not find default branch for repository: {shown}", hint="name a branch: #BRANCH")
        name = branches[0].removeprefix("ref: ").partition("\t")[0]
        commit = next(line for line in output.splitlines() if line.endswith("\tHEAD") and not line.startswith("ref:"))
        return _checked(Resolved(name, commit.partition("\t")[0], commit.partition("\t")[0]))
    head = "refs/heads/" + reference.removeprefix("refs/heads/")
    tag = "refs/tags/" + reference.removeprefix("refs/tags/")
    other = "refs/" + reference.removeprefix("refs/")
    for name in (other, head, tag):
        if name in found:
            return _checked(Resolved(name, found[name], found.get(name + "^{}", found[name])))
    raise BuildError(
        f'repository does not contain ref {reference}, output: "{output}"',
        hint="give a branch, a tag or a whole commit ID",
    )


def _checked(resolved: Resolved) -> Resolved:
    for value in (resolved.object, resolved.commit):
        if not is_commit(value):
            raise BuildError(f'invalid commit sha "{value[:80]}"')
    return resolved


def verify_checksum(resolved: Resolved, checksum: str) -> None:
    """Holds what was found against how the commit (or the annotated tag) has to begin.

    Raises:
        BuildError: it begins otherwise.
    """
    if not (resolved.object.startswith(checksum) or resolved.commit.startswith(checksum)):
        found = resolved.object if resolved.commit == resolved.object else f"{resolved.object} or {resolved.commit}"
        raise BuildError(
            f"expected checksum to match {checksum}, got {found}",
            hint="the reference means another commit now: find out why before you change the checksum",
        )


class Repository:
    """A bare repository in the store. Whoever uses it holds the remote's lock."""

    def __init__(self, git: Git, path: Path, remote: str, protocols: str, *, shown: str) -> None:
        self.path = path
        self.git = git.at(path)
        self._remote = remote
        self._protocols = protocols
        self._shown = shown

    @staticmethod
    def opened(
        git: Git, path: Path, scratch: Path, remote: str, protocols: str, *, sha256: bool, shown: str
    ) -> Repository:
        """The repository at `path`, made if it is not there; what a run that died has locked is free again."""
        if not path.exists():
            try:
                scratch.mkdir()
                form = ["--object-format=sha256"] if sha256 else []
                git.run("init", "--quiet", "--bare", "--template=", *form, str(scratch))
                scratch.rename(path)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
        for lock in ("shallow.lock", "packed-refs.lock", "config.lock"):
            with suppress(FileNotFoundError):
                (path / lock).unlink()
        return Repository(git, path, remote, protocols, shown=shown)

    def has(self, wanted: str) -> bool:
        """Whether a commit is here with all its files, or a tag with its commit."""
        reference = self.kept(wanted)
        return self.git.holds("cat-file", "-e", f"{wanted}^{{commit}}") and self.git.holds(
            "rev-parse", "-q", "--verify", reference
        )

    def kept(self, wanted: str) -> str:
        """The reference that keeps an object."""
        return f"refs/pyoci/{wanted}"

    def fetch(self, resolved: Resolved) -> None:
        """Brings what a reference means into the repository.

        Raises:
            BuildError: the remote does not give it.
        """
        wanted = resolved.object
        try:
            if resolved.name and not resolved.by_id:
                self._fetch(["--depth=1", "--no-tags"], f"+{resolved.name}:{self.kept(wanted)}")
                if self.git.text("rev-parse", self.kept(wanted)) == wanted:
                    return
                self.git.run("update-ref", "-d", self.kept(wanted))  # the reference has moved since it was looked up
            self._fetch_object(wanted)
        except GitFailed as failure:
            raise fetch_failed(self._shown, failure) from failure

    def _fetch_object(self, wanted: str) -> None:
        """By its ID, which most servers allow; from those that do not, everything."""
        try:
            self._fetch(["--depth=1", "--no-tags"], f"+{wanted}:{self.kept(wanted)}")
            return
        except GitFailed as failure:
            if not _NOT_OFFERED.search(str(failure)):
                raise
        complete = ["--unshallow"] if (self.path / "shallow").exists() else []
        self._fetch(
            ["--no-tags", *complete], "+refs/heads/*:refs/pyoci/all/heads/*", "+refs/tags/*:refs/pyoci/all/tags/*"
        )
        if not self.git.holds("cat-file", "-e", f"{wanted}^{{commit}}"):
            raise BuildError(
                f"failed to fetch remote {self._shown}: commit {wanted} can not be found in the repository",
                hint="is it on a branch or tag of this repository?",
            )
        self.git.run("update-ref", self.kept(wanted), wanted)

    def _fetch(self, options: Sequence[str], *references: str) -> None:
        try:
            self.git.run("fetch", "--quiet", *options, "--", self._remote, *references, protocols=self._protocols)
        except GitFailed as failure:
            if "--depth=1" not in options or not _NO_DEPTH.search(str(failure)):
                raise
            rest = [option for option in options if option != "--depth=1"]
            self.git.run("fetch", "--quiet", *rest, "--", self._remote, *references, protocols=self._protocols)

    def commit_time(self, wanted: str) -> int:
        """When the commit was made, in seconds since 1970."""
        text = self.git.text("log", "-1", "--format=%ct", f"{wanted}^{{commit}}")
        return max(0, int(text)) if text.isdigit() else 0
