"""What builds fetch, put together: downloads and checkouts with this command's secrets, connections and store."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from pyoci.api.services import Services
from pyoci.build.cache_key import structural_digest
from pyoci.build.filesystem import SourceFiles
from pyoci.build.lazy_files import LazyFiles
from pyoci.build.secrets import Secrets
from pyoci.build.steps import GitStep, HttpStep
from pyoci.errors import BuildError

if TYPE_CHECKING:
    from pyoci.fetch.http import HttpFetcher

__all__ = ["Fetching"]


class Fetching:
    """Implements `build.fetcher.Fetcher` for one build. May be used from several threads."""

    def __init__(self, services: Services, secrets: Secrets) -> None:
        self._services = services
        self._secrets = secrets

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
        raise BuildError("ADD of a git repository is not supported yet")
