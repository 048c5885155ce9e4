"""`RUN --mount=…` and other lists of options as they are written: `key=value,key`, cut but not judged."""

from __future__ import annotations

from collections.abc import Callable

from pyoci.errors import DockerfileError
from pyoci.location import Location
from pyoci.values import dataclass, field, replace

__all__ = ["MountOption", "MountOptions", "expanded_options", "parse_mount_options", "split_commas"]


@dataclass(frozen=True, slots=True)
class MountOption:
    """`key=value` or a lone `key`."""

    key: str
    """Lower-cased, as typed otherwise."""
    value: str | None
    location: Location = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class MountOptions:
    """One `--mount` as written. Equal when the options are, in the same order."""

    options: tuple[MountOption, ...]
    location: Location = field(compare=False, repr=False)
    """Of the whole value."""

    @property
    def from_(self) -> str | None:
        """The stage, image or context named by `from`; never holds a variable."""
        values = [option.value for option in self.options if option.key == "from"]
        return (values[-1] or None) if values else None


def split_commas(text: str) -> list[tuple[str, int]]:
    """The fields of one line of CSV with their offsets; a field may be quoted whole, `""` in it is a quote.

    Raises:
        ValueError: a quote stands where none may, or the text is empty.
    """
    if not text:
        raise ValueError("is empty")
    fields: list[tuple[str, int]] = []
    position = 0
    while True:
        start = position
        if not text.startswith('"', position):
            comma = text.find(",", position)
            value = text[position : comma if comma >= 0 else len(text)]
            if '"' in value:
                raise ValueError('has a quote (") inside an option that does not begin with one')
            position = comma
        else:
            parts: list[str] = []
            while True:
                quote = text.find('"', position + 1)
                if quote < 0:
                    raise ValueError('has a quote (") that is not closed')
                parts.append(text[position + 1 : quote])
                position = quote + 1
                if not text.startswith('"', position):
                    break
            value = '"'.join(parts)
            if position == len(text):
                position = -1
            elif text[position] != ",":
                raise ValueError("has text behind a closing quote")
        fields.append((value, start))
        if position < 0:
            return fields
        position += 1


def parse_mount_options(text: str, location: Location) -> MountOptions:
    """The options in `type=cache,target=/x`; judged no further than is possible before variables are expanded.

    Raises:
        DockerfileError: the text is no list of options, or `from` holds a variable.
    """
    try:
        fields = split_commas(text)
    except ValueError as error:
        raise DockerfileError(
            f"--mount {error}", hint="write --mount=type=cache,target=/path", location=location
        ) from None
    options: list[MountOption] = []
    for written, offset in fields:
        key, equals, value = written.partition("=")
        place = location
        if location.length == len(text):
            place = replace(location, column=location.column + offset, length=max(1, len(written)))
        if key.lower() == "from" and "$" in value[:-1]:
            raise DockerfileError(
                "--mount=from= cannot hold a variable",
                hint="name a stage: FROM $IMAGE AS name, then from=name",
                location=place,
            )
        options.append(MountOption(key.lower(), value if equals else None, place))
    return MountOptions(tuple(options), location)


def expanded_options(mount: MountOptions, expand: Callable[[str, Location], str]) -> MountOptions:
    """The same options with every value expanded by `expand(value, location)`."""
    return replace(
        mount,
        options=tuple(
            option if option.value is None else replace(option, value=expand(option.value, option.location))
            for option in mount.options
        ),
    )
