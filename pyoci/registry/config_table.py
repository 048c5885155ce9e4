"""Reading tables of TOML files with errors that name the key. Holds no meaning of any key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from pyoci.errors import UsageError
from pyoci.regex import regex

__all__ = ["ConfigTable", "read_toml"]

T = TypeVar("T")

_LIMIT = 4 * 1024 * 1024
_UNITS = {"": 1, "B": 1} | {
    spelling: 1 << 10 * power for power, unit in enumerate("KMGT", start=1) for spelling in (unit, f"{unit}IB")
}
_SIZE = regex(r"(\d{1,18})\s*([A-Za-z]*)")


class ConfigTable:
    """One table; every value that is taken is remembered, so that `finish` can refuse what nobody asked for."""

    def __init__(self, values: dict[str, object], where: str, *, directory: Path, home: Path) -> None:
        self._values = values
        self._where = where
        self._directory = directory
        self._home = home
        self._taken: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def fail(self, key: str, problem: str) -> UsageError:
        """The error for one key."""
        return UsageError(f"{self._where}{key} {problem}")

    def finish(self) -> None:
        """Raises UsageError when the table has keys that were not taken."""
        unknown = sorted(self._values.keys() - self._taken)
        if unknown:
            known = ", ".join(sorted(self._taken))
            raise UsageError(f'{self._where}"{unknown[0]}" is not a setting', hint=f"there are: {known}")

    def text(self, key: str, default: str = "") -> str:
        return self._take(key, str, "a string", default)

    def flag(self, key: str, *, default: bool = False) -> bool:
        return self._take(key, bool, "true or false", default)

    def whole(self, key: str, default: int, *, minimum: int = 0) -> int:
        value = self._take(key, int, "a whole number", default)
        if isinstance(value, bool) or value < minimum:
            raise self.fail(key, f"must be a whole number of at least {minimum}")
        return value

    def seconds(self, key: str, default: float) -> float:
        value = self._values.get(key, default)
        self._taken.add(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1_000_000:
            raise self.fail(key, "must be a number of seconds above 0")
        return float(value)

    def size(self, key: str, default: int = 0) -> int:
        """Bytes: a number, or text such as `64MiB`."""
        value = self._values.get(key, default)
        self._taken.add(key)
        match = _SIZE.fullmatch(str(value).strip()) if isinstance(value, int | str) else None
        if match is None or isinstance(value, bool) or match[2].upper() not in _UNITS:
            raise self.fail(key, 'must be a number of bytes or a size such as "64MiB"')
        return int(match[1]) * _UNITS[match[2].upper()]

    def path(self, key: str) -> Path | None:
        """A path; relative ones start at the file's directory, `~/` at the home directory."""
        text = self.text(key)
        return self._path(text) if text else None

    def paths(self, key: str) -> tuple[Path, ...]:
        return tuple(self._path(text) for text in self.texts(key))

    def texts(self, key: str) -> tuple[str, ...]:
        found = self._take(key, list, "an array of strings", [])
        if not all(isinstance(item, str) for item in found):
            raise self.fail(key, "must be an array of strings")
        return tuple(found)

    def items(self, key: str) -> Iterator[str | ConfigTable]:
        """The entries of an array whose items are strings or tables."""
        for number, item in enumerate(self._take(key, list, "an array", [])):
            if isinstance(item, str):
                yield item
            elif isinstance(item, dict):
                yield self._inner(item, f"{key}[{number}]")
            else:
                raise self.fail(f"{key}[{number}]", "must be a string or a table")

    def table(self, key: str) -> ConfigTable:
        return self._inner(self._take(key, dict, "a table", {}), key)

    def tables(self, key: str) -> Iterator[tuple[str, ConfigTable]]:
        """The tables of a table: `[host."a"]`, `[host."b"]`."""
        for name, value in self._take(key, dict, "a table", {}).items():
            if not isinstance(value, dict):
                raise self.fail(f'{key}."{name}"', "must be a table")
            yield name, self._inner(value, f'{key}."{name}"')

    def _inner(self, values: dict[str, object], key: str) -> ConfigTable:
        return ConfigTable(values, f"{self._where}{key}.", directory=self._directory, home=self._home)

    def _path(self, text: str) -> Path:
        return self._home / text[2:] if text.startswith("~/") else self._directory / text

    def _take(self, key: str, kind: type[T], name: str, default: T) -> T:
        self._taken.add(key)
        value = self._values.get(key, default)
        if not isinstance(value, kind):
            raise self.fail(key, f"must be {name}")
        return value


def read_toml(path: Path, *, home: Path, concerns: Callable[[bytes], bool] = lambda raw: True) -> ConfigTable | None:
    """The file's top table; None when there is no such file, or none that `concerns` us.

    Raises:
        UsageError: it cannot be read or is not TOML.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_LIMIT + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    if len(raw) > _LIMIT:
        raise UsageError(f"{path} is longer than {_LIMIT} bytes")
    if not concerns(raw):
        return None
    import tomllib  # most have no such file

    try:
        values = tomllib.loads(raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {str(error)[:200]}") from None
    return ConfigTable(values, f"{path}: ", directory=path.parent, home=home)
