"""Git repositories as directories: what a reference means, and its files, checked out once and kept in the store.

A checkout is kept under what it holds (commit, `.git` or not, submodules or not), so the next build of the same commit
runs no git.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from pyoci.errors import BuildError
from pyoci.fetch.download_record import FOLDER
from pyoci.fetch.git_access import Access, access_to, without_credentials
from pyoci.fetch.git_checkout import check_out, subdirectory_of
from pyoci.fetch.git_command import Git, find_git
from pyoci.fetch.git_reference import is_commit
from pyoci.fetch.git_repository import Repository, Resolved, lookup, verify_checksum
from pyoci.fetch.protocols import FetchStore, Get, Secret, Ssh
from pyoci.fetch.url import redacted
from pyoci.progress import Reporter
from pyoci.values import dataclass

__all__ = ["Checkout", "GitFetcher", "GitSource"]

_VERSION = 1
_SYSTEM_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


@dataclass(frozen=True, slots=True)
class GitSource:
    """What is wanted of which repository."""

    remote: str
    """With credentials, if the user wrote some."""
    reference: str = ""
    checksum: str = ""
    subdirectory: str = ""
    keep_git_directory: bool = False
    """Counts only without a subdirectory, as in BuildKit."""
    submodules: bool = True
    fetch_by_commit: bool = False

    @property
    def keeps_git(self) -> bool:
        """Whether `.git` will be there."""
        return self.keep_git_directory and not self.subdirectory


@dataclass(frozen=True, slots=True)
class Checkout:
    """A directory with the files of a commit. Nobody may change it."""

    directory: Path
    commit_time: int
    """Seconds since 1970."""


class GitFetcher:
    """Checkouts for one command. May be used from several threads; processes that share the store take turns."""

    def __init__(
        self,
        store: FetchStore,
        secret: Secret,
        *,
        variables: Mapping[str, str],
        ssh: Callable[[], Ssh | None] = lambda: None,
        ca_files: Sequence[Path] = (),
        get: Get | None = None,
        offline: bool = False,
        reporter: Reporter | None = None,
        cancelled: threading.Event | None = None,
    ) -> None:
        """`variables` are the user's environment: PATH and proxies are taken from it. `ssh` gives an agent or a key;
        `get` finds out where a repository is now, if credentials would go there.
        """
        self._store = store
        self._secret = secret
        self._variables = variables
        self._ssh = ssh
        self._ca_files = tuple(ca_files)
        self._get = None if offline else get
        self._offline = offline
        self._reporter = reporter or Reporter()
        self._cancelled = cancelled or threading.Event()
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._accesses: dict[str, Access] = {}
        self._resolved: dict[tuple[str, str], Resolved] = {}

    def resolve(self, source: GitSource) -> Resolved:
        """What the reference means now: asked once per command, and never for what names a commit.

        Raises:
            BuildError: there is no such reference, it is another commit than the checksum says, or nobody answers.
        """
        if is_commit(source.reference):
            resolved = Resolved("", source.reference, source.reference)
        elif source.fetch_by_commit:
            resolved = _by_commit(source)
        else:
            resolved = self._looked_up(source)
        if source.checksum:
            verify_checksum(resolved, source.checksum)
        return resolved

    def identity(self, source: GitSource, resolved: Resolved) -> list[str | bool]:
        """What tells one directory of files from another: equal lists mean equal files."""
        return [*self._checkout_key(source, resolved), source.subdirectory]

    def _checkout_key(self, source: GitSource, resolved: Resolved) -> list[str | bool]:
        key: list[str | bool] = [resolved.commit, source.submodules, source.keeps_git]
        return [*key, resolved.object, resolved.name, without_credentials(source.remote)] if source.keeps_git else key

    def checkout(self, source: GitSource, resolved: Resolved) -> Checkout:
        """The files, checked out now or before.

        Raises:
            BuildError: they cannot be fetched, or there is no such subdirectory.
        """
        text = json.dumps([_VERSION, *self._checkout_key(source, resolved)])
        folder = self._store.root / "git" / "checkouts"
        kept = folder / hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:40]
        with self._guarded(text):
            if not (kept / "commit_time").exists():
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._make_checkout(source, resolved, kept)
        with suppress(OSError):
            os.utime(kept)  # when it was used last, for whoever makes room
        directory = subdirectory_of(kept / "tree", source.subdirectory)
        return Checkout(directory, int((kept / "commit_time").read_text()))

    def _guarded(self, name: str) -> threading.Lock:
        with self._lock:
            return self._locks.setdefault(name, threading.Lock())

    def _looked_up(self, source: GitSource) -> Resolved:
        key = (source.remote, source.reference)
        with self._guarded(json.dumps(key)):
            known = self._resolved.get(key)
            if known is None:
                known = self._resolved[key] = self._ask(source)
            return known

    def _ask(self, source: GitSource) -> Resolved:
        clean = without_credentials(source.remote)
        name = "git-" + hashlib.sha256(json.dumps([clean, source.reference]).encode()).hexdigest()
        if self._offline:
            raw = self._store.read_file(FOLDER, name)
            if raw is None:
                raise self._is_offline(redacted(source.remote))
            return Resolved(*json.loads(raw))
        access = self._access(source.remote)
        resolved = lookup(self._git(access), access.remote, source.reference, access.protocol, shown=access.shown)
        (self._store.root / FOLDER).mkdir(exist_ok=True)
        self._store.write_file(FOLDER, name, json.dumps([resolved.name, resolved.object, resolved.commit]).encode())
        self._reporter.message(f"{access.shown}: {resolved.name} is commit {resolved.commit}")
        return resolved

    def _is_offline(self, shown: str) -> BuildError:
        return BuildError(
            f"failed to fetch remote {shown}: the network is not to be used",
            hint="build once with the network: what is fetched then is kept",
        )

    def _make_checkout(self, source: GitSource, resolved: Resolved, kept: Path) -> None:
        access = self._access(source.remote)
        git = self._git(access)
        scratch = self._store.temporary_path("git")
        number = hashlib.sha256(f"{access.remote}\0{len(resolved.object)}".encode("utf-8", "surrogateescape"))
        bare = self._store.root / "git" / "repositories" / number.hexdigest()[:40]
        bare.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._guarded(access.remote), self._store.lock_file(f"git {access.remote}"):
            repository = Repository.opened(
                git,
                bare,
                self._store.temporary_path("git"),
                access.remote,
                access.protocol,
                sha256=len(resolved.object) == 64,
                shown=access.shown,
            )
            if not repository.has(resolved.object):
                if self._offline:
                    raise self._is_offline(access.shown)
                repository.fetch(resolved)
            try:
                (scratch / "tree").mkdir(parents=True)
                check_out(
                    repository,
                    resolved,
                    scratch / "tree",
                    git,
                    access.remote,
                    keep_git_directory=source.keeps_git,
                    submodules=source.submodules,
                    shown=access.shown,
                )
                (scratch / "commit_time").write_text(str(repository.commit_time(resolved.object)))
                if not kept.exists():  # another process, from another remote with the same commit
                    scratch.rename(kept)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)

    def _access(self, remote: str) -> Access:
        with self._guarded(f"access {remote}"):
            known = self._accesses.get(remote)
            if known is None:
                known = self._accesses[remote] = access_to(remote, self._secret, self._ssh, self._get)
            return known

    def _git(self, access: Access) -> Git:
        return Git(
            self._program,
            self._variables,
            access.config,
            access.ssh,
            self._ca_bundle,
            access.secrets,
            self._cancelled,
        )

    @cached_property
    def _program(self) -> str:
        return find_git(self._variables)

    @cached_property
    def _ca_bundle(self) -> Path | None:
        """One file with the system's certificate authorities and the user's: git takes no second one."""
        if not self._ca_files:
            return None
        import ssl

        system = [ssl.get_default_verify_paths().cafile or "", *_SYSTEM_BUNDLES]
        first = next((Path(name) for name in system if name and Path(name).is_file()), None)
        try:
            parts = [path.read_bytes() for path in (*([first] if first else []), *self._ca_files)]
        except OSError as error:
            raise BuildError(f"cannot read the CA file {error.filename}: {error.strerror}") from error
        data = b"\n".join(parts)
        name = f"ca-{hashlib.sha256(data).hexdigest()[:16]}.pem"
        (self._store.root / FOLDER).mkdir(exist_ok=True)
        self._store.write_file(FOLDER, name, data)
        return self._store.root / FOLDER / name


def _by_commit(source: GitSource) -> Resolved:
    if not source.checksum:
        raise BuildError("fetch-by-commit requires a checksum or a commit SHA ref")
    if not is_commit(source.checksum):
        raise BuildError(f'fetch-by-commit requires a full commit SHA checksum, got "{source.checksum}"')
    name = source.reference
    if name and not name.startswith("refs/"):
        name = f"refs/heads/{name}"
    return Resolved(name, source.checksum, source.checksum, by_id=True)
