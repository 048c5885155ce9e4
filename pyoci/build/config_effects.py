"""What an instruction does to the image config, and how docker's history writes it.

Pure: takes a config and an instruction whose variables are expanded, returns the new config and the text of the history
entry. Wording and rules are BuildKit's, so that `docker history` reads the same.
"""

from __future__ import annotations

from typing import TypeAlias

from pyoci.dockerfile.go_quote import go_quoted_list
from pyoci.dockerfile.instructions import (
    Cmd,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Label,
    Shell,
    Stopsignal,
    User,
    Volume,
)
from pyoci.dockerfile.ports import parse_port, port_names
from pyoci.dockerfile.signals import is_signal
from pyoci.dockerfile.windows_paths import with_backslashes, without_drive
from pyoci.dockerfile.words import Word
from pyoci.errors import DockerfileError
from pyoci.image.config import ContainerConfig
from pyoci.image.config import Healthcheck as ConfigHealthcheck
from pyoci.values import replace

__all__ = [
    "DEFAULT_PATH",
    "ConfigInstruction",
    "apply_effect",
    "joined_path",
    "next_workdir",
    "set_variable",
    "with_shell",
]

ConfigInstruction: TypeAlias = (
    Cmd | Entrypoint | Env | Expose | Healthcheck | Label | Shell | Stopsignal | User | Volume
)
"""Instructions that change nothing but the config."""

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_DEFAULT_SHELL = ("/bin/sh", "-c")
_WINDOWS_SHELL = ("cmd", "/S", "/C")


def with_shell(config: ContainerConfig, command: str, os: str) -> tuple[str, ...]:
    """The arguments that run a command line in the image's shell, or in that of its system."""
    return (*(config.shell or (_WINDOWS_SHELL if os == "windows" else _DEFAULT_SHELL)), command)


def set_variable(env: tuple[str, ...], name: str, value: str) -> tuple[str, ...]:
    """The environment with a variable set, where it was or at the end."""
    prefix = name + "="
    entry = prefix + value
    if any(old.startswith(prefix) for old in env):
        return tuple(entry if old.startswith(prefix) else old for old in env)
    return (*env, entry)


def next_workdir(current: str, path: str, os: str) -> str:
    """The config's WorkingDir after `WORKDIR path`: an absolute path as written, a relative one joined and cleaned. For
    Windows always cleaned, with backslashes and without a drive.

    Raises:
        DockerfileError: it is on another drive.
    """
    if os == "windows":
        return with_backslashes(joined_path(without_drive(current), without_drive(path)))
    return path if path.startswith("/") else joined_path(current, path)


def joined_path(current: str, path: str) -> str:
    """A path from the root, without `.` and `..`; a relative one starts at `current`."""
    parts: list[str] = []
    for part in (path if path.startswith("/") else f"{current}/{path}").split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def apply_effect(
    config: ContainerConfig, instruction: ConfigInstruction, *, cmd_is_set: bool, os: str
) -> tuple[ContainerConfig, str]:
    """The config after the instruction, and its history text.

    `cmd_is_set` says whether this stage has a CMD already: ENTRYPOINT drops one that was inherited.

    Raises:
        DockerfileError: a port, signal or volume is none.
    """
    match instruction:
        case Env():
            env = config.env
            for pair in instruction.pairs:
                env = set_variable(env, pair.name.text, pair.value.text)
            text = " ".join(_pair_text(p.name.text, p.value.text) for p in instruction.pairs)
            return replace(config, env=env), f"ENV {text}"
        case Label():
            labels = {**config.labels, **{p.name.text: p.value.text for p in instruction.pairs}}
            text = " ".join(_pair_text(p.name.text, p.value.text) for p in instruction.pairs)
            return replace(config, labels=labels), f"LABEL {text}"
        case User():
            return replace(config, user=instruction.user.text), f"USER {instruction.user.text}"
        case Cmd():
            args = _command(config, instruction, os)
            return replace(config, cmd=args, args_escaped=True), f"CMD {go_quoted_list(args)}"
        case Entrypoint():
            args = _command(config, instruction, os)
            cmd = config.cmd if cmd_is_set else None
            return replace(config, entrypoint=args, cmd=cmd), f"ENTRYPOINT {go_quoted_list(args)}"
        case Shell():
            return replace(config, shell=instruction.arguments), f"SHELL {_go_list(instruction.arguments)}"
        case Expose():
            ports = [port for word in instruction.ports for port in _ports(word)]
            exposed = tuple(sorted({*config.exposed_ports, *ports}))
            return replace(config, exposed_ports=exposed), f"EXPOSE {_go_list(ports)}"
        case Volume():
            paths = [_volume(word) for word in instruction.paths]
            volumes = tuple(sorted({*config.volumes, *paths}))
            return replace(config, volumes=volumes), f"VOLUME {_go_list(paths)}"
        case Stopsignal():
            return replace(config, stop_signal=_signal(instruction.signal)), f"STOPSIGNAL {instruction.signal.text}"
        case Healthcheck():
            return replace(config, healthcheck=_healthcheck(instruction)), _healthcheck_text(instruction)


def _pair_text(name: str, value: str) -> str:
    return f"{name}={value}"


def _go_list(words: tuple[str, ...] | list[str]) -> str:
    return "[" + " ".join(words) + "]"


def _command(config: ContainerConfig, instruction: Cmd | Entrypoint, os: str) -> tuple[str, ...]:
    if instruction.form == "exec":
        return instruction.arguments
    return with_shell(config, " ".join(instruction.arguments), os)


def _ports(word: Word) -> list[str]:
    try:
        return list(port_names([parse_port(word.text)]))
    except ValueError as error:
        raise DockerfileError(
            f'invalid port "{word.text}": {error}', hint="write EXPOSE 80, 53/udp or 7000-7010", location=word.location
        ) from None


def _volume(word: Word) -> str:
    if not word.text:
        raise DockerfileError("VOLUME specified can not be an empty string", location=word.location)
    return word.text


def _signal(word: Word) -> str:
    if not is_signal(word.text):
        raise DockerfileError(
            f'invalid signal: "{word.text}"', hint="name it as in SIGTERM, or give its number", location=word.location
        )
    return word.text


def _healthcheck(instruction: Healthcheck) -> ConfigHealthcheck:
    return ConfigHealthcheck(
        test=instruction.test,
        interval=instruction.interval,
        timeout=instruction.timeout,
        start_period=instruction.start_period,
        start_interval=instruction.start_interval,
        retries=instruction.retries,
    )


def _healthcheck_text(h: Healthcheck) -> str:
    durations = " ".join(
        f"{name}:{_go_duration(value)}"
        for name, value in (
            ("Interval", h.interval),
            ("Timeout", h.timeout),
            ("StartPeriod", h.start_period),
            ("StartInterval", h.start_interval),
        )
    )
    return f"HEALTHCHECK {{Test:{_go_list(h.test)} {durations} Retries:{h.retries}}}"


def _go_duration(nanoseconds: int) -> str:
    """A duration as Go prints it: `1m30s`, `1.5s`, `20ms`, `0s`."""
    if nanoseconds == 0:
        return "0s"
    if nanoseconds < 1_000_000_000:
        for unit, size in (("ms", 1_000_000), ("µs", 1_000), ("ns", 1)):
            if nanoseconds >= size:
                return f"{nanoseconds / size:.9g}{unit}"
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    text = f"{seconds}{fraction}s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text
