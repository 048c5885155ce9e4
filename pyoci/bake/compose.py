"""Compose files to targets: each service with a `build` section is one, all of them are the group `default`.

Only `image`, `build`, `environment` and `env_file` of services and top-level `secrets` count; the rest is for running.
Spec: compose-spec build.md; docker/buildx docs/bake-reference.md; `x-bake` is buildx's extension.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pyoci.bake.compose_files import ComposeFiles, ReadFile
from pyoci.bake.entries import ENTRIES
from pyoci.bake.env_file import parse_env_file
from pyoci.bake.problems import meaning, unknown
from pyoci.bake.relative import rebased_path
from pyoci.bake.resolve import Definitions
from pyoci.bake.target import Entry, Group, Target
from pyoci.bake.values import ValueProblem
from pyoci.bake.yaml_text import Node
from pyoci.errors import BakeError, UsageError
from pyoci.location import SourceFile
from pyoci.regex import regex
from pyoci.values import replace

__all__ = ["is_compose", "parse_compose"]

_NAME = regex(r"[a-zA-Z0-9_-]+")
_X_BAKE_LISTS = ("tags", "platforms", "no-cache-filter")
_X_BAKE_ENTRIES = ("cache-from", "cache-to", "secret", "ssh", "output")
_X_BAKE_BOOLS = ("pull", "no-cache")


def is_compose(name: str) -> bool:
    """Whether a file is a Compose file, by its name."""
    return name.lower().endswith((".yml", ".yaml"))


def parse_compose(
    sources: Sequence[SourceFile],
    variables: Mapping[str, str],
    warn: Callable[[str], None],
    read: ReadFile,
) -> Definitions:
    """The targets of Compose files; later files are merged over earlier ones. `read` reads files that they name.

    Raises:
        BakeError: one is malformed, or says in `build` what is not known; located.
    """
    unset: set[str] = set()
    root = ComposeFiles(variables, unset.add, read).load(list(sources))
    for name in sorted(unset):
        warn(f"the variable {name} of the Compose file is not set: it is taken as empty")
    if root is None:
        return Definitions({}, {})
    tops = root.pairs()
    if "services" not in tops and "secrets" not in tops:
        raise BakeError("the Compose file has no services", hint="write services: …", location=root.location)
    secrets = tops["secrets"].pairs() if "secrets" in tops else {}
    services = tops["services"].pairs() if "services" in tops else {}
    targets: dict[str, Target] = {}
    for name, service in services.items():
        parts = service.pairs()
        if "build" in parts and parts["build"].value is not None:
            target = _Service(name, service, secrets, variables, read).target()
            targets[target.name] = target
        elif "image" not in parts:
            raise BakeError(
                f'the service "{name}" has neither image nor build', hint="give it one", location=service.location
            )
    return Definitions({"default": Group("default", targets=tuple(targets))} if services else {}, targets)


class _Service:
    """One service being read."""

    def __init__(
        self,
        name: str,
        node: Node,
        secrets: Mapping[str, Node],
        variables: Mapping[str, str],
        read: ReadFile,
    ) -> None:
        self._name = name.replace(".", "_")
        self._node = node
        self._secrets = secrets
        self._variables = variables
        self._read = read
        build = node.pairs()["build"]
        self._build: dict[str, Node] = build.pairs()
        self._place = build.location
        self._found: dict[str, Any] = {}

    def target(self) -> Target:
        if _NAME.fullmatch(self._name) is None:
            raise BakeError(f'invalid service name "{self._name}"', location=self._node.location)
        readers = self._readers()
        for key, node in self._build.items():
            if key == "x-bake":
                continue
            if key not in readers:
                if key.startswith("x-"):
                    continue
                otherwise = "pyoci does not know it; take it out, or move it to another tool's file"
                raise unknown("unknown key of build", key, readers, node.location, otherwise=otherwise)
            if node.value is not None:
                with meaning(node.location, key):
                    readers[key](node)
        if "x-bake" in self._build:
            self._extend(self._build["x-bake"])
        image = self._node.pairs().get("image")
        if not self._found.get("tags") and image is not None and image.text():
            self._found["tags"] = (image.text(),)
        return replace(Target(self._name, location=self._place), **self._found)

    def _readers(self) -> dict[str, Callable[[Node], None]]:
        texts = ("context", "dockerfile", "dockerfile_inline", "target", "network")
        lists = ("tags", "platforms", "entitlements", "no_cache_filter")
        entries = ("cache_from", "cache_to")
        found: dict[str, Callable[[Node], None]] = {}
        for name in texts:
            found[name] = lambda node, name=name: self._set(name, node.text() or None)  # type: ignore[misc]
        for name in lists:
            found[name] = lambda node, name=name: self._set(name, _texts(node))  # type: ignore[misc]
        for name in entries:
            found[name] = lambda node, name=name: self._set(name, _entries(name, node))  # type: ignore[misc]
        for name in ("no_cache", "pull"):
            found[name] = lambda node, name=name: self._set(name, _bool(node) or None)  # type: ignore[misc]
        return found | {
            "args": self._args,
            "additional_contexts": lambda node: self._set("contexts", _contexts(node)),
            "labels": lambda node: self._set("labels", {key: value or "" for key, value in _mapping(node).items()}),
            "extra_hosts": lambda node: self._set("extra_hosts", _hosts(node)),
            "shm_size": lambda node: self._set("shm_size", _size(node)),
            "ulimits": lambda node: self._set("ulimits", _ulimits(node)),
            "ssh": self._ssh,
            "secrets": self._secret_list,
            "sbom": lambda node: self._attest("sbom", node),
            "provenance": lambda node: self._attest("provenance", node),
            "privileged": self._privileged,
            "isolation": self._isolation,
        }

    def _set(self, field: str, value: Any) -> None:
        self._found[field] = value

    def _privileged(self, node: Node) -> None:
        if _bool(node):
            raise BakeError(
                "privileged builds are not supported",
                hint="write RUN --security=insecure, and entitlements: [security.insecure]",
                location=node.location,
            )

    def _isolation(self, node: Node) -> None:
        if node.text() not in ("", "default", None):
            raise BakeError(
                f'the isolation "{node.text()}" is not there',
                hint="leave it out: pyoci isolates steps as the machine allows, see `pyoci doctor`",
                location=node.location,
            )

    def _args(self, node: Node) -> None:
        """An argument without a value has that of the service's environment, else that of the caller's."""
        environment = self._node.pairs().get("environment")
        own = {**self._env_files(), **(_mapping(environment) if environment is not None else {})}
        found: dict[str, str | None] = {}
        for name, value in _mapping(node).items():
            known = value if value is not None else own.get(name) or self._variables.get(name)
            if known is not None:
                found[name] = known
        self._found["args"] = found or None

    def _env_files(self) -> dict[str, str]:
        """The variables of the service's `env_file`s; one that is not required may be missing."""
        listed = self._node.pairs().get("env_file")
        found: dict[str, str] = {}
        for one in listed.items() if listed is not None else []:
            try:
                found |= parse_env_file(self._read(_text(one, "path")), self._variables)
            except UsageError as error:
                if _text(one, "required") != "false":
                    raise BakeError(error.message, hint=error.hint, location=one.location) from error
        return found

    def _ssh(self, node: Node) -> None:
        if isinstance(node.value, dict):
            texts = [f"{key}={value.text()}" if value.value else key for key, value in node.pairs().items()]
        elif isinstance(node.value, str):
            texts = [node.value]
        else:
            texts = list(_texts(node))
        self._found["ssh"] = tuple(sorted(map(ENTRIES["ssh"], texts), key=lambda entry: entry.get("id")))

    def _secret_list(self, node: Node) -> None:
        found = []
        for item in node.items():
            name = _text(item, "source")
            defined = self._secrets.get(name or "")
            if not name or defined is None:
                raise BakeError(
                    f'there is no secret "{name}"',
                    hint="define it under secrets at the top of the file",
                    location=item.location,
                )
            if _text(defined, "external") == "true":
                raise BakeError(
                    f'the secret "{name}" is external', hint="use file or environment", location=item.location
                )
            file = _text(defined, "file")
            src = posixpath.normpath(file) if file else ""
            values = {"id": name, "src": src, "env": _text(defined, "environment")}
            found.append(Entry({key: value for key, value in values.items() if value}))
        self._found["secret"] = tuple(found)

    def _attest(self, kind: str, node: Node) -> None:
        text = node.text() or "true"
        values = {"type": kind} if text == "true" else {"type": kind, "disabled": "true"}
        if text not in ("true", "false"):
            values = dict(ENTRIES["attest"](f"type={kind},{text}").values)
        before = self._found.get("attest", ())
        self._found["attest"] = (Entry(values), *before) if kind == "sbom" else (*before, Entry(values))

    def _extend(self, node: Node) -> None:
        """`x-bake`: what Compose has no keys for."""
        for key, value in node.pairs().items():
            field = key.replace("-", "_")
            with meaning(value.location, key):
                if key in _X_BAKE_LISTS:
                    self._found[field] = _joined(self._found.get(field), _words(value))
                elif key in _X_BAKE_ENTRIES:
                    more = tuple(ENTRIES[field](text) for text in _words(value))
                    self._found[field] = _joined(self._found.get(field), more)
                elif key in _X_BAKE_BOOLS:
                    self._found[field] = _bool(value)
                elif key == "contexts":
                    self._found[field] = {**_contexts(value), **(self._found.get(field) or {})}
                else:
                    known = (*_X_BAKE_LISTS, *_X_BAKE_ENTRIES, *_X_BAKE_BOOLS, "contexts")
                    otherwise = f"x-bake has {', '.join(known)}"
                    raise unknown("unknown key of x-bake", key, known, value.location, otherwise=otherwise)


def _joined(one: tuple[Any, ...] | None, more: tuple[Any, ...]) -> tuple[Any, ...]:
    found = list(one or ())
    found += [item for item in more if item not in found]
    return tuple(found)


def _text(node: Node, key: str) -> str:
    found = node.pairs().get(key)
    return (found.text() or "") if found is not None else ""


def _texts(node: Node) -> tuple[str, ...]:
    return tuple(text for item in node.items() if (text := item.text()) is not None)


def _words(node: Node) -> tuple[str, ...]:
    """A list, or words with spaces between."""
    return tuple(node.value.split()) if isinstance(node.value, str) else _texts(node)


def _entries(field: str, node: Node) -> tuple[Entry, ...]:
    return tuple(ENTRIES[field](text) for text in _words(node))


def _bool(node: Node) -> bool:
    text = (node.text() or "").lower()
    if text in ("true", "yes", "on", "1"):
        return True
    if text in ("false", "no", "off", "0", ""):
        return False
    raise BakeError(f'"{text}" is neither true nor false', location=node.location)


def _mapping(node: Node) -> dict[str, str | None]:
    """A mapping, or a list of `key=value`; a lone key has no value."""
    if isinstance(node.value, dict):
        return {key: value.text() for key, value in node.value.items()}
    found: dict[str, str | None] = {}
    for text in _texts(node):
        key, equals, value = text.partition("=")
        found[key] = value if equals else None
    return found


def _contexts(node: Node) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for key, value in _mapping(node).items():
        kind, _, name = (value or "").partition(":")
        if kind in ("service", "target"):
            found[key] = f"target:{name.replace('.', '_')}"
        else:
            found[key] = rebased_path(".", value or "")
    return found


def _size(node: Node) -> str | None:
    """A size as docker writes sizes: `134217728` and `128m` are `128MiB`."""
    text = (node.text() or "").strip().lower()
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", text)
    if found is None:
        raise ValueProblem(f'"{text}" is no size as 128m')
    number, unit = float(found[1]) * 1024 ** "_kmgt".index(found[2] or "_"), 0
    while number >= 1024 and unit < 4:
        number, unit = number / 1024, unit + 1
    return f"{number:.4g}{('B', 'KiB', 'MiB', 'GiB', 'TiB')[unit]}" if number else None


def _hosts(node: Node) -> dict[str, str | None]:
    if isinstance(node.value, dict):
        return {
            key: value.text() if isinstance(value.value, str) else ",".join(_texts(value))
            for key, value in node.value.items()
        }
    found: dict[str, str | None] = {}
    for text in _texts(node):
        separator = "=" if "=" in text else ":"
        name, _, address = text.partition(separator)
        found[name] = f"{found[name]},{address}" if name in found else address
    return found


def _ulimits(node: Node) -> tuple[str, ...]:
    found = []
    for name, value in node.pairs().items():
        if isinstance(value.value, dict):
            found.append(f"{name}={_text(value, 'soft')}:{_text(value, 'hard')}")
        else:
            found.append(f"{name}={value.text()}:{value.text()}")
    return tuple(found)
