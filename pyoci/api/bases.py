"""What names in a Dockerfile stand for: images of the store or a registry, or what `--build-context` gave instead."""

from __future__ import annotations

from collections.abc import Mapping

from pyoci.api.contexts import git_context, is_url
from pyoci.api.services import Services
from pyoci.build import host
from pyoci.build.plan import Base, BaseImage
from pyoci.errors import UsageError
from pyoci.image import Descriptor
from pyoci.platforms import Platform
from pyoci.reference import parse_reference
from pyoci.resolver import read_image

__all__ = ["BAKED", "NamedBases"]

_IMAGE = "docker-image://"
BAKED = _IMAGE + "bake.invalid/"
"""How the result of another target of a bake is named: no registry has it, the store does, by digest."""
_LAYOUT = "oci-layout://"
_ARCHIVES = ("docker-archive:", "oci-archive:")
_KINDS = (
    "a context is a directory, a tar, an http or git URL, docker-image://NAME, oci-layout://PATH:TAG, "
    "docker-archive:FILE, oci-archive:FILE or host:"
)


class NamedBases:
    """Implements `build.plan.Bases`. What is no image is left to whoever opens contexts: see `contexts`."""

    def __init__(self, services: Services, contexts: Mapping[str, str]) -> None:
        """Raises UsageError for a context that is of no known kind or does not exist."""
        self._services = services
        self._values = {_key(name): value for name, value in contexts.items()}
        self.contexts: dict[str, str] = {}
        """Values of contexts that are files (directories, archives, URLs, repositories), by `Base.context`."""
        self._roots: dict[str, tuple[str, Descriptor]] = {}
        for name, value in contexts.items():
            self._check(name, value)

    def _check(self, name: str, value: str) -> None:
        if value.startswith((_IMAGE, _LAYOUT, *_ARCHIVES)):
            return
        if value.startswith(host.PREFIX):
            try:
                host.survey(host.parse_host(value))
            except UsageError as error:
                raise UsageError(f'build context "{name}": {error.message}', hint=error.hint) from error
            return
        path = self._services.environment.path(value)
        try:
            is_remote = not path.is_dir() and (is_url(value) or git_context(value) is not None)
        except UsageError as error:
            raise UsageError(f'build context "{name}": {error.message}', hint=error.hint) from error
        if not is_remote and "://" in value:
            raise UsageError(f'build context "{name}": unsupported context source {value}', hint=_KINDS)
        if not is_remote and not path.exists():
            raise UsageError(f'build context "{name}": there is no directory {value}', hint=_KINDS)
        self.contexts[_key(name)] = value

    def named(self, name: str, platform: Platform) -> Base | None:
        key = _key(name)
        value = self._values.get(key)
        if value is None:
            return None
        if key in self.contexts:
            return Base(title=f"context {name}", context=key)
        if value.startswith(host.PREFIX):
            directories = host.parse_host(value)
            return Base(value, host=directories, environment=host.toolchain_environment(directories))
        if value.startswith(_IMAGE):
            return self.image(value.removeprefix(_IMAGE), platform)
        title, root = self._titled_root(key, value)
        image = read_image(root, self._services.resolver.content, platform, name=value, limits=self._services.limits)
        return Base(title, image, BaseImage(name, None, root.digest, image.platform))

    def value(self, name: str) -> str | None:
        """What was given for a name, as it was typed; None if nothing was."""
        return self._values.get(_key(name))

    def root(self, name: str) -> Descriptor | None:
        """The manifest or index that a name was given for; None if it was given for files, or nothing was.

        Raises:
            ContentNotFound, RegistryError, UsageError: there is no such image.
        """
        key = _key(name)
        value = self._values.get(key)
        if value is None or key in self.contexts or value.startswith(host.PREFIX):
            return None
        if value.startswith(_IMAGE):
            return self._services.resolver.root(parse_reference(value.removeprefix(_IMAGE)))
        return self._titled_root(key, value)[1]

    def _titled_root(self, key: str, value: str) -> tuple[str, Descriptor]:
        if key not in self._roots:
            self._roots[key] = self._layout(value) if value.startswith(_LAYOUT) else self._archive(value)
        return self._roots[key]

    def image(self, name: str, platform: Platform) -> Base:
        resolved = self._services.resolver.resolve(parse_reference(name), platform)
        origin = BaseImage(name, resolved.reference, resolved.root.digest, resolved.image.platform)
        return Base(resolved.title, resolved.image, origin)

    def _layout(self, value: str) -> tuple[str, Descriptor]:
        from pyoci.content.layout import DirectoryLayout

        rest, at, digest = value.removeprefix(_LAYOUT).partition("@")
        path, tag = rest, ""
        head, colon, last = rest.rpartition(":")
        if colon and "/" not in last:
            path, tag = head, last
        layout = DirectoryLayout(self._services.environment.path(path), limits=self._services.limits)
        self._services.origins.add(layout)
        wanted = f"@{digest}" if at else tag
        return value, layout.find(wanted)

    def _archive(self, value: str) -> tuple[str, Descriptor]:
        from pyoci.content.archive import open_archive

        _, _, rest = value.partition(":")
        path, name = rest, ""
        if not self._services.environment.path(rest).exists():
            path, _, name = rest.partition(":")
        services = self._services
        scratch = services.store.root / "tmp"
        archive = open_archive(services.environment.path(path), scratch=scratch, limits=services.limits)
        self._services.origins.add(archive)
        return value, archive.find(name)


def _key(name: str) -> str:
    """One spelling per meaning: `golang`, `golang:latest` and `docker.io/library/golang` are the same context."""
    try:
        reference = parse_reference(name)
    except UsageError:
        return name
    familiar = reference.familiar
    return familiar.removesuffix(":latest")
