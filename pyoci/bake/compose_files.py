"""Compose files to one tree of services: variables put in, short forms written out, other files read, all merged.

    included files < the file that includes them; an extended service < the one that extends it; a file < the next one

Mappings are merged element by element, lists appended, the rest replaced; `!reset` takes a value back and `!override`
replaces it whole. Spec: compose-spec 13-merge.md, 14-include.md, 05-services.md#extends; else compose-go 2.13.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from pyoci.bake.env_file import parse_env_file
from pyoci.bake.interpolate import interpolate
from pyoci.bake.problems import meaning, nested, unknown
from pyoci.bake.relative import directory_of, rebased_path
from pyoci.bake.yaml_text import Node, parse_yaml
from pyoci.errors import BakeError, UsageError
from pyoci.location import SourceFile
from pyoci.values import dataclass, field, replace

__all__ = ["ComposeFiles", "ReadFile"]

ReadFile: TypeAlias = Callable[[str], SourceFile]
"""Reads a file by its path from the working directory; raises UsageError if it cannot."""

_PAIRS = ("args", "labels", "additional_contexts")
_DEEPEST = 20


@dataclass(frozen=True, slots=True)
class ComposeFiles:
    """Reads Compose files."""

    variables: Mapping[str, str]
    unset: Callable[[str], None]
    """Told of variables that are not set."""
    read: ReadFile
    files: tuple[str, ...] = field(default=())
    """That are being read, by name: none may include itself."""

    def load(self, sources: list[SourceFile]) -> Node | None:
        """The tree of these files together; None where there is none.

        Raises:
            BakeError: one is malformed; located.
        """
        root: Node | None = None
        for source in sources:
            with nested(source.name):
                loaded = self._file(source)
            root = loaded if root is None else _merged(root, loaded)
        return root

    def _file(self, source: SourceFile) -> Node:
        node = self._interpolated(parse_yaml(source))
        if not isinstance(node.value, dict):
            raise BakeError(f"{source.name} is no Compose file: services are missing", location=node.location)
        if source.name in self.files or len(self.files) > _DEEPEST:
            raise BakeError(f"{source.name} includes itself", location=node.location)
        within = replace(self, files=(*self.files, source.name))
        root = dict(node.value)
        if root.get("services") is not None:
            services = {name: _canonical(one) for name, one in root["services"].pairs().items()}
            done = {name: within._extended(name, services, "", ()) for name in services}
            root["services"] = replace(root["services"], value=dict(done))
        found = replace(node, value=root)
        for one in reversed(root["include"].items() if "include" in root else []):
            found = _merged(within._included(one), found)
        return found

    def _interpolated(self, node: Node) -> Node:
        match node.value:
            case str():
                with meaning(node.location):
                    return replace(node, value=interpolate(node.value, self.variables, self.unset))
            case list():
                return replace(node, value=[self._interpolated(item) for item in node.value])
            case dict():
                return replace(node, value={key: self._interpolated(value) for key, value in node.value.items()})
            case None:
                return node

    # other services

    def _extended(self, name: str, services: Mapping[str, Node], directory: str, chain: tuple[str, ...]) -> Node:
        """A service with what it takes over from others."""
        service = services[name]
        pairs = service.pairs()
        if "extends" not in pairs:
            return service
        extends = pairs["extends"]
        wanted = extends.pairs().get("service")
        other = (wanted.text() or "") if wanted is not None else ""
        file = extends.pairs().get("file")
        mark = f"{file.text() if file else directory}:{name}"
        if mark in chain or len(chain) > _DEEPEST:
            raise BakeError(f'the service "{name}" extends itself', location=extends.location)
        chain = (*chain, mark)
        if file is not None and file.text():
            base = self._service_of(rebased_path(directory, file.text() or ""), other, extends, chain)
        elif other in services:
            base = self._extended(other, services, directory, chain)
        else:
            otherwise = f"the services are: {', '.join(sorted(services))}"
            raise unknown("there is no service", other, services, extends.location, otherwise=otherwise)
        own = {key: value for key, value in pairs.items() if key != "extends"}
        return _merged(base, replace(service, value=own))

    def _service_of(self, path: str, name: str, extends: Node, chain: tuple[str, ...]) -> Node:
        try:
            source = self.read(path)
        except UsageError as error:
            raise BakeError(error.message, hint=error.hint, location=extends.location) from error
        root = self._interpolated(parse_yaml(source)).pairs()
        services = {key: _canonical(one) for key, one in root["services"].pairs().items()} if "services" in root else {}
        if name not in services:
            otherwise = f"{path} has {', '.join(sorted(services)) or 'none'}"
            raise unknown("there is no service", name, services, extends.location, otherwise=otherwise)
        directory = directory_of(path) or "."
        return _rebased(self._extended(name, services, directory, chain), directory)

    def _included(self, node: Node) -> Node:
        """What an element of `include` brings, with paths from the working directory."""
        pairs = node.pairs() if isinstance(node.value, dict) else {"path": node}
        path = pairs.get("path", node)
        paths = [one.text() or "" for one in path.items()] if isinstance(path.value, list) else [path.text() or ""]
        given = pairs["project_directory"].text() if "project_directory" in pairs else None
        directory = given or directory_of(paths[0]) or "."
        variables = {**self._variables_of(pairs.get("env_file"), directory), **self.variables}
        try:
            sources = [self.read(one) for one in paths]
        except UsageError as error:
            raise BakeError(error.message, hint=error.hint, location=node.location) from error
        root = replace(self, variables=variables).load(sources)
        assert root is not None
        found = dict(root.pairs())
        if "services" in found:
            services = {name: _rebased(one, directory) for name, one in found["services"].pairs().items()}
            found["services"] = replace(found["services"], value=dict(services))
        if "secrets" in found:
            secrets = {name: _with_path(one, "file", directory) for name, one in found["secrets"].pairs().items()}
            found["secrets"] = replace(found["secrets"], value=dict(secrets))
        return replace(root, value=found)

    def _variables_of(self, node: Node | None, directory: str) -> dict[str, str]:
        found: dict[str, str] = {}
        if node is None:
            try:
                return parse_env_file(self.read(rebased_path(directory, ".env")), self.variables)
            except UsageError:
                return {}
        for one in node.items() if isinstance(node.value, list) else [node]:
            try:
                found |= parse_env_file(self.read(one.text() or ""), self.variables)
            except UsageError as error:
                raise BakeError(error.message, hint=error.hint, location=one.location) from error
        return found


# forms


def _canonical(service: Node) -> Node:
    """A service with every short form written out."""
    pairs = dict(service.pairs())
    if "build" in pairs and pairs["build"].value is not None:
        pairs["build"] = _canonical_build(pairs["build"])
    for key in ("environment",):
        if key in pairs:
            pairs[key] = _as_pairs(pairs[key])
    if "extends" in pairs and isinstance(pairs["extends"].value, str):
        pairs["extends"] = replace(pairs["extends"], value={"service": pairs["extends"]})
    if "env_file" in pairs:
        node = pairs["env_file"]
        listed = node.items() if isinstance(node.value, list) else [node]
        written = [one if isinstance(one.value, dict) else replace(one, value={"path": one}) for one in listed]
        pairs["env_file"] = replace(node, value=written)
    return replace(service, value=pairs)


def _canonical_build(build: Node) -> Node:
    if isinstance(build.value, str):
        return replace(build, value={"context": replace(build, merge="")})
    pairs = dict(build.pairs())
    for key in _PAIRS:
        if key in pairs:
            pairs[key] = _as_pairs(pairs[key])
    if "secrets" in pairs and pairs["secrets"].value is not None:
        items = pairs["secrets"].items()
        written = [one if isinstance(one.value, dict) else replace(one, value={"source": one}) for one in items]
        pairs["secrets"] = replace(pairs["secrets"], value=written)
    return replace(build, value=pairs)


def _as_pairs(node: Node) -> Node:
    """A list of `key=value` as a mapping; a lone key has no value."""
    if not isinstance(node.value, list):
        return node
    found: dict[str, Node] = {}
    for item in node.value:
        key, equals, value = (item.text() or "").partition("=")
        found[key] = replace(item, value=value if equals else None)
    return replace(node, value=found)


def _merged(one: Node, later: Node) -> Node:
    """A value with what a later one says."""
    if later.merge == "override":
        return replace(later, merge="")
    if isinstance(one.value, dict) and isinstance(later.value, dict):
        found = dict(one.value)
        for key, value in later.value.items():
            if value.merge == "reset":
                found.pop(key, None)
            else:
                found[key] = _merged(found[key], value) if key in found else value
        return replace(later, value=found)
    if isinstance(one.value, list) and isinstance(later.value, list):
        return replace(later, value=_joined(one.value, later.value))
    return one if later.value is None else later


def _joined(items: list[Node], more: list[Node]) -> list[Node]:
    """Two lists as one, without texts that were there and with the last of each secret."""
    found: dict[object, Node] = {}
    for item in (*items, *more):
        source = item.value.get("source") if isinstance(item.value, dict) else None
        key: object = source.value if source is not None else item.value if isinstance(item.value, str) else id(item)
        if isinstance(item.value, str):
            found.setdefault(key, item)
        else:
            found[key] = item
    return list(found.values())


def _rebased(service: Node, directory: str) -> Node:
    """A service of a file in another directory, with paths from this one."""
    pairs = dict(service.pairs())
    build = pairs.get("build")
    if build is not None and isinstance(build.value, dict):
        inner = dict(build.value)
        context = inner.get("context") or replace(build, value=".")
        inner["context"] = replace(context, value=rebased_path(directory, context.text() or "."))
        contexts = inner.get("additional_contexts")
        if contexts is not None and isinstance(contexts.value, dict):
            moved = {name: _path(one, directory) for name, one in contexts.value.items()}
            inner["additional_contexts"] = replace(contexts, value=moved)
        pairs["build"] = replace(build, value=inner)
    if "env_file" in pairs:
        listed = [_with_path(one, "path", directory) for one in pairs["env_file"].items()]
        pairs["env_file"] = replace(pairs["env_file"], value=listed)
    return replace(service, value=pairs)


def _path(node: Node, directory: str) -> Node:
    return replace(node, value=rebased_path(directory, node.value)) if isinstance(node.value, str) else node


def _with_path(node: Node, key: str, directory: str) -> Node:
    if not isinstance(node.value, dict) or key not in node.value:
        return node
    return replace(node, value={**node.value, key: _path(node.value[key], directory)})
