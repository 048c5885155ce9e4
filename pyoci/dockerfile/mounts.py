"""`RUN --mount=…`: the mount that its options mean once their variables are known.

Spec: Dockerfile reference, "RUN --mount". Values may hold variables, `from` may not, so the two steps are apart:
`mount_options.py` cuts, `mount_of` judges.
"""

from __future__ import annotations

from typing import Literal, NoReturn, TypeAlias, TypeVar

from pyoci.dockerfile.mount_options import MountOption, MountOptions, expanded_options
from pyoci.dockerfile.paths import base_name, clean
from pyoci.dockerfile.suggest import nearest
from pyoci.dockerfile.units import parse_boolean, parse_size
from pyoci.errors import DockerfileError
from pyoci.location import Location
from pyoci.values import dataclass

__all__ = [
    "BindMount",
    "CacheMount",
    "Mount",
    "MountOptions",
    "SecretMount",
    "SshMount",
    "TmpfsMount",
    "expanded_options",
    "mount_of",
]

_MountType = Literal["bind", "cache", "tmpfs", "secret", "ssh"]
_Sharing = Literal["shared", "private", "locked"]

_TYPES: tuple[_MountType, ...] = ("bind", "cache", "tmpfs", "secret", "ssh")
_SHARING: tuple[_Sharing, ...] = ("shared", "private", "locked")
_SAME_KEY = {
    "src": "source",
    "dst": "target",
    "destination": "target",
    "ro": "readonly",
    "rw": "readwrite",
}
_KEYS = (
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "env",
    "readwrite",
    *_SAME_KEY,
)
_FLAGS = frozenset({"readonly", "readwrite", "required"})
_FOREIGN = frozenset({"z", "relabel", "u", "nosuid", "noexec", "nodev", "chown", "bind-propagation"})
_UINT32 = 2**32

T = TypeVar("T", bound=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class BindMount:
    """Files of the context, or of `from_`; writes, where allowed, are thrown away."""

    target: str
    """May be relative to the working directory, or empty for the directory itself."""
    source: str = ""
    from_: str | None = None
    read_only: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheMount:
    """A directory that outlives the build, no part of any layer."""

    target: str
    id: str
    """The cleaned target where no `id` is given."""
    sharing: _Sharing = "shared"
    from_: str | None = None
    """What an empty cache starts with."""
    source: str = ""
    read_only: bool = False
    mode: int | None = None
    """None means 0755."""
    uid: int | None = None
    gid: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TmpfsMount:
    """An empty file system in memory."""

    target: str
    size_bytes: int = 0
    """0 leaves it to the kernel."""
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretMount:
    """A secret as a file, a variable, or both."""

    id: str
    target: str | None
    """None where the secret is a variable only."""
    env: str | None = None
    required: bool = False
    mode: int = 0o400
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SshMount:
    """A socket of an ssh agent; SSH_AUTH_SOCK names it."""

    id: str
    target: str | None
    """None means `/run/buildkit/ssh_agent.N`, N counting the ssh mounts of the instruction."""
    required: bool = False
    mode: int = 0o600
    uid: int = 0
    gid: int = 0


Mount: TypeAlias = BindMount | CacheMount | TmpfsMount | SecretMount | SshMount


def mount_of(mount: MountOptions) -> Mount:
    """The mount that expanded options mean.

    Raises:
        DockerfileError: an option is unknown, has a wrong value or does not go with the type; located at the option.
    """
    reader = _Reader()
    for option in mount.options:
        reader.take(option)
    return reader.finish(mount.location)


class _Reader:
    """Takes options one by one: a later `type` decides over what was written before it, as in BuildKit."""

    def __init__(self) -> None:
        self._type: _MountType = "bind"
        self._texts: dict[str, str] = {}
        self._numbers: dict[str, int] = {}
        self._places: dict[str, Location] = {}
        self._read_only: bool | None = None
        self._required = False
        self._sharing: _Sharing | None = None

    def take(self, option: MountOption) -> None:
        key = _SAME_KEY.get(option.key, option.key)
        value = option.value
        self._places[key] = option.location
        if value is None:
            if key not in _FLAGS:
                self._refuse_key(option, "needs a value" if key in _KEYS else None)
            value = "true"
        match key:
            case "type":
                self._type = self._one_of(option, value, _TYPES)
            case "sharing":
                self._sharing = self._one_of(option, value, _SHARING)
            case "readonly" | "readwrite":
                self._read_only = self._boolean(option, value) == (key == "readonly")
            case "required":
                self._only_for(option, "secret", "ssh")
                self._required = self._boolean(option, value)
            case "size":
                self._only_for(option, "tmpfs")
                self._numbers[key] = self._size(option, value)
            case "mode":
                self._numbers[key] = self._number(option, value, 8)
            case "uid" | "gid":
                self._numbers[key] = self._number(option, value, 10)
            case "from" | "source" | "target" | "id" | "env":
                self._texts[key] = value
            case _:
                self._refuse_key(option, None)

    def finish(self, location: Location) -> Mount:
        text, number = self._texts.get, self._numbers.get
        target, source, identifier, from_ = text("target", ""), text("source", ""), text("id", ""), text("from") or None
        if self._sharing is not None and self._type != "cache":
            self._refuse("sharing", "sharing is for cache mounts", location)
        if self._type in ("bind", "tmpfs"):
            for key in ("mode", "uid", "gid"):
                if key in self._numbers:
                    self._refuse(key, f"{key} is not for {self._type} mounts", location)
        match self._type:
            case "bind":
                return BindMount(target=target, source=source, from_=from_, read_only=self._read_only is not False)
            case "tmpfs":
                return TmpfsMount(target=target, size_bytes=number("size", 0), read_only=self._read_only is True)
            case "cache":
                return CacheMount(
                    target=target,
                    id=identifier or clean(target),
                    sharing=self._sharing or "shared",
                    from_=from_,
                    source=source,
                    read_only=self._read_only is True,
                    mode=number("mode"),
                    uid=number("uid"),
                    gid=number("gid"),
                )
            case "secret":
                return self._secret(location)
            case "ssh":
                if source:
                    self._refuse("source", "source is not for ssh mounts", location)
                return SshMount(
                    id=identifier or "default",
                    target=target or None,
                    required=self._required,
                    mode=number("mode", 0o600),
                    uid=number("uid", 0),
                    gid=number("gid", 0),
                )

    def _secret(self, location: Location) -> SecretMount:
        text, number = self._texts.get, self._numbers.get
        target, source, identifier = text("target", ""), text("source", ""), text("id", "")
        if text("from"):
            self._refuse("from", "from is not for secret mounts", location)
        if not (source or target or identifier):
            self._refuse("", "a secret mount needs an id or a target", location)
        if source and identifier:
            self._refuse("source", "a secret mount takes an id or a source, not both", location)
        identifier = source or identifier or base_name(target)
        env = text("env")
        default_target = None if env is not None else f"/run/secrets/{base_name(identifier)}"
        return SecretMount(
            id=identifier,
            target=target or default_target,
            env=env,
            required=self._required,
            mode=number("mode", 0o400),
            uid=number("uid", 0),
            gid=number("gid", 0),
        )

    def _only_for(self, option: MountOption, *types: _MountType) -> None:
        if self._type not in types:
            self._fail(
                f"{option.key} is not for {self._type} mounts",
                f"it is for {' and '.join(types)} mounts; the type must stand before it",
                option.location,
            )

    def _one_of(self, option: MountOption, value: str, choices: tuple[T, ...]) -> T:
        for choice in choices:
            if choice == value.lower():
                return choice
        near = nearest(value.lower(), choices)
        hint = f"did you mean {near}?" if near else f"one of {', '.join(choices)}"
        self._fail(f'"{value}" is no {"mount type" if option.key == "type" else "sharing mode"}', hint, option.location)

    def _boolean(self, option: MountOption, value: str) -> bool:
        try:
            return parse_boolean(value)
        except ValueError:
            self._fail(f'{option.key} is true or false, not "{value}"', None, option.location)

    def _size(self, option: MountOption, value: str) -> int:
        try:
            return parse_size(value)
        except ValueError:
            self._fail(f'"{value}" is no size', "write a number and a unit: 64m, 1g", option.location)

    def _number(self, option: MountOption, value: str, base: Literal[8, 10]) -> int:
        digits = value.isascii() and value.isdigit() and len(value) < 12
        try:
            number = int(value, base) if digits else _UINT32
        except ValueError:
            number = _UINT32
        if number >= _UINT32:
            kind = "an octal number" if base == 8 else "a number"
            self._fail(f'{option.key} is {kind}, not "{value}"', None, option.location)
        return number

    def _refuse_key(self, option: MountOption, problem: str | None) -> NoReturn:
        if problem:
            self._fail(f"{option.key} {problem}", f"write {option.key}=…", option.location)
        near = nearest(option.key, _KEYS)
        hint = f"did you mean {near}?" if near else f"the options are {', '.join(_KEYS)}"
        if option.key in _FOREIGN:
            hint = "it belongs to other builders; leave it out"
        self._fail(f'unknown option "{option.key}" in --mount', hint, option.location)

    def _refuse(self, key: str, message: str, location: Location) -> NoReturn:
        self._fail(message, None, self._places.get(key, location))

    def _fail(self, message: str, hint: str | None, location: Location) -> NoReturn:
        raise DockerfileError(message, hint=hint, location=location)
