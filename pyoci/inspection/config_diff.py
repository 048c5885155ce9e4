"""How the configs of two images differ, field by field; lists that are sets or have names, item by item."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from pyoci.image.config import JSON, ContainerConfig, Healthcheck, ImageConfig
from pyoci.values import asdict, dataclass

__all__ = ["ConfigChange", "config_changes"]


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """One value that is not the same in both images."""

    field: str
    """As image-spec spells it: `Env`, `Cmd`, `Labels`, `Architecture`."""
    key: str
    """Which of several: the name of a variable or label, a port, a path; empty for a field with one value."""
    before: str | None
    """None where it was not there."""
    after: str | None


def config_changes(before: ImageConfig, after: ImageConfig, *, times: bool = False) -> Iterator[ConfigChange]:
    """The differences, in the order of image-spec. `times` adds when the images were created."""
    old, new = before.platform, after.platform
    yield from _one("Platform", str(old), str(new))
    yield from _one("Author", before.author, after.author)
    if times:
        yield from _one("Created", before.created or "", after.created or "")
    yield from _container(before.config, after.config)
    yield from _named("Other", _texts(before.extra), _texts(after.extra))


def _container(old: ContainerConfig, new: ContainerConfig) -> Iterator[ConfigChange]:
    yield from _one("User", old.user, new.user)
    yield from _named("ExposedPorts", dict.fromkeys(old.exposed_ports, ""), dict.fromkeys(new.exposed_ports, ""))
    yield from _named("Env", _variables(old), _variables(new))
    yield from _one("Entrypoint", _words(old.entrypoint), _words(new.entrypoint))
    yield from _one("Cmd", _words(old.cmd), _words(new.cmd))
    yield from _named("Volumes", dict.fromkeys(old.volumes, ""), dict.fromkeys(new.volumes, ""))
    yield from _one("WorkingDir", old.working_dir, new.working_dir)
    yield from _named("Labels", old.labels, new.labels)
    yield from _one("StopSignal", old.stop_signal, new.stop_signal)
    yield from _one("Healthcheck", _health(old.healthcheck), _health(new.healthcheck))
    yield from _one("Shell", _words(old.shell), _words(new.shell))
    yield from _one("OnBuild", _words(old.on_build or None), _words(new.on_build or None))
    yield from _one("ArgsEscaped", "true" if old.args_escaped else "", "true" if new.args_escaped else "")
    yield from _named("Config", _texts(old.extra), _texts(new.extra))


def _one(field: str, before: str, after: str) -> Iterator[ConfigChange]:
    if before != after:
        yield ConfigChange(field, "", before or None, after or None)


def _named(field: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[ConfigChange]:
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            yield ConfigChange(field, key, before.get(key), after.get(key))


def _variables(config: ContainerConfig) -> dict[str, str]:
    return dict(entry.partition("=")[::2] for entry in config.env)


def _words(words: tuple[str, ...] | None) -> str:
    return "" if words is None else json.dumps(list(words), ensure_ascii=False)


def _health(check: Healthcheck | None) -> str:
    if check is None:
        return ""
    return json.dumps({name: value for name, value in asdict(check).items() if value}, ensure_ascii=False)


def _texts(values: Mapping[str, JSON]) -> dict[str, str]:
    return {name: json.dumps(value, ensure_ascii=False, sort_keys=True) for name, value in values.items()}
