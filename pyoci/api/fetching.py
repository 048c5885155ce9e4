"""What builds fetch, put together: downloads and checkouts with this command's secrets, connections and store."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from pyoci.api.services import Services
from pyoci.build.cache_key import structural_digest
from pyoci.build.context import DirectoryContext
from pyoci.build.filesystem import SourceFiles
from pyoci.build.lazy_files import LazyFiles
from pyoci.build.materials import Material
from pyoci.build.request import SshSource
from pyoci.build.secrets import Secrets
from pyoci.build.steps import GitStep, HttpStep
from pyoci.digest import Digest
from pyoci.errors import BuildError

if TYPE_CHECKING:
    from pyoci.fetch.git import GitFetcher, GitSource
    from pyoci.fetch.git_reference import GitReference
    from pyoci.fetch.http import HttpFetcher
    from pyoci.fetch.protocols import Ssh

__all__ = ["Fetching"]


class Fetching:
    """Implements `build.fetcher.Fetcher` for one build. May be used from several threads."""

    def __init__(self, services: Services, secrets: Secrets, ssh: Sequence[SshSource] = ()) -> None:
        self._services = services
        self._secrets = secrets
        self._ssh_sources = {source.id: source for source in ssh}

    @cached_property
    def downloads(self) -> HttpFetcher:
        """Downloads of this build. The HTTP library is imported when one asks the network."""
        from pyoci.fetch.http import HttpFetcher, HttpSettings

        network = self._services.hosts.network
        return HttpFetcher(
            self._services.store,
            self._services.web.get,
            self._secrets.get,
            settings=HttpSettings(
                attempts=network.attempts,
                backoff_seconds=network.backoff_seconds,
                offline=self._services.options.offline,
            ),
            reporter=self._services.reporter,
            cancelled=self._services.cancelled,
        )

    def http(self, step: HttpStep) -> SourceFiles:
        if step.checksum is not None:
            lazy = LazyFiles(lambda: self.downloads.file(step.url, step.name, checksum=step.checksum)[0])
            return SourceFiles(lazy, structural_digest(["http", step.checksum, step.name]), keeps_times=True)
        files, download = self.downloads.file(step.url, step.name)
        identity = structural_digest(["http", download.digest, step.name, download.last_modified])
        return SourceFiles(files, identity, keeps_times=True)

    def git(self, step: GitStep) -> SourceFiles:
        return self._files_of(self._source_of(step), commit_times=step.commit_times)

    def _source_of(self, step: GitStep) -> GitSource:
        from pyoci.fetch.git import GitSource

        return GitSource(
            step.remote,
            step.reference,
            step.commit,
            step.subdirectory,
            step.keep_git_directory,
            step.submodules,
            step.fetch_by_commit,
        )

    def repository(self, reference: GitReference, *, keep_git_directory: bool = False) -> SourceFiles:
        """The files that a git reference names, for a context.

        Raises:
            BuildError: the reference cannot be looked up. Reading the files raises it if they cannot be fetched.
        """
        source = self._source(reference, keep_git_directory=keep_git_directory)
        return self._files_of(source, commit_times=reference.mtime == "commit")

    def commit_time(self, wanted: GitReference | GitStep) -> int:
        """When the commit was made that a reference or step names, in seconds since 1970.

        Raises:
            BuildError: it cannot be fetched.
        """
        if isinstance(wanted, GitStep):
            source = self._source_of(wanted)
        else:
            source = self._source(wanted, keep_git_directory=False)
        repositories = self.repositories
        return repositories.checkout(source, repositories.resolve(source)).commit_time

    def _source(self, reference: GitReference, *, keep_git_directory: bool) -> GitSource:
        from pyoci.fetch.git import GitSource

        return GitSource(
            reference.remote,
            reference.reference,
            reference.checksum,
            reference.subdirectory,
            keep_git_directory or reference.keep_git_directory is True,
            reference.submodules is not False,
            reference.fetch_by_commit,
        )

    def material(self, step: HttpStep | GitStep) -> Material:
        """What a step fetched, or would have: by the checksum that names it, else as it was asked for in this command.

        Raises:
            BuildError: it cannot be had.
        """
        if isinstance(step, HttpStep):
            return self.file_material(step.url, step.checksum)
        return self._git_material(self._source_of(step))

    def file_material(self, url: str, checksum: Digest | None = None) -> Material:
        """What is behind a URL.

        Raises:
            BuildError: it cannot be had.
        """
        from pyoci.fetch.url import public

        digest = checksum or self.downloads.fetch(url).digest
        algorithm, _, value = digest.partition(":")
        return Material(public(url), {algorithm: value})

    def repository_material(self, reference: GitReference) -> Material:
        """What a git reference names.

        Raises:
            BuildError: it cannot be looked up.
        """
        return self._git_material(self._source(reference, keep_git_directory=False))

    def _git_material(self, source: GitSource) -> Material:
        from pyoci.fetch.url import public

        mark = f"#{source.reference}" if source.reference else ""
        return Material(public(source.remote) + mark, {"sha1": self.repositories.resolve(source).commit})

    def _files_of(self, source: GitSource, *, commit_times: bool) -> SourceFiles:
        repositories = self.repositories
        resolved = repositories.resolve(source)

        def checked_out() -> DirectoryContext:
            checkout = repositories.checkout(source, resolved)
            return DirectoryContext(checkout.directory, mtime=checkout.commit_time if commit_times else 0)

        identity = structural_digest(["git", repositories.identity(source, resolved), commit_times])
        return SourceFiles(LazyFiles(checked_out), identity, keeps_times=commit_times)

    @cached_property
    def repositories(self) -> GitFetcher:
        """Checkouts of this build."""
        from pyoci.fetch.git import GitFetcher

        services = self._services
        return GitFetcher(
            services.store,
            self._secrets.get,
            variables=services.environment.variables,
            ssh=self._ssh,
            ca_files=services.hosts.ca_files,
            get=services.web.get,
            offline=services.options.offline,
            reporter=services.reporter,
            cancelled=services.cancelled,
        )

    def _ssh(self) -> Ssh | None:
        """How git reaches ssh remotes: with the agent or key of `--ssh default`, as in BuildKit."""
        from pyoci.fetch.protocols import Ssh

        source = self._ssh_sources.get("default")
        if source is None:
            return None
        environment = self._services.environment
        path = source.path or environment.variables.get("SSH_AUTH_SOCK", "")
        if not path:
            raise BuildError(
                "invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set",
                hint="start an ssh agent, or name a socket or key: --ssh default=PATH",
            )
        own = self._services.store.root / "git"
        own.mkdir(exist_ok=True)
        known_hosts = (own / "known_hosts", environment.home / ".ssh" / "known_hosts")
        found = environment.path(path)
        if found.is_socket():
            return Ssh(agent=found, known_hosts=known_hosts)
        if found.is_file():
            return Ssh(key=found, known_hosts=known_hosts)
        raise BuildError(f"--ssh default: {path} is neither an agent's socket nor a key")
