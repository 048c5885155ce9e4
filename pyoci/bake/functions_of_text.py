"""Functions of the standard library that make or take strings."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import urllib.parse
from collections.abc import Callable, Mapping

from pyoci.bake.go_regex import compile_go
from pyoci.bake.values import Value, ValueProblem, as_number, as_text, json_text, kind
from pyoci.regex import regex

__all__ = ["TEXT", "list_of", "whole"]

_Entry = tuple[Callable[..., Value], int, "int | None"]

_VERB = regex(r"%(?:\[(\d{1,3})\])?([-+ 0#]*)(\d{1,3})?(?:\.(\d{1,2}))?([a-zA-Z%])")
_GROUP = regex(r"\$(?:\$|\{(\w+)\}|(\w+))")
_LONGEST = 4 << 20


def list_of(value: Value) -> list[Value]:
    """The value as a list.

    Raises:
        ValueProblem: it is none.
    """
    if not isinstance(value, list):
        raise ValueProblem(f"a list is needed, not {'null' if value is None else f'a {kind(value)}'}")
    return value


def whole(value: Value) -> int:
    """The value as a whole number.

    Raises:
        ValueProblem: it is none.
    """
    number = as_number(value)
    if not isinstance(number, int):
        raise ValueProblem(f"a whole number is needed, not {as_text(value)}")
    return number


def _join(separator: Value, *lists: Value) -> Value:
    return as_text(separator).join(as_text(item) for one in lists for item in list_of(one))


def _split(separator: Value, text: Value) -> Value:
    mark, whole_text = as_text(separator), as_text(text)
    return list(whole_text.split(mark)) if mark else list(whole_text)


def _replace(text: Value, old: Value, new: Value) -> Value:
    subject, sought, other = as_text(text), as_text(old), as_text(new)
    if len(other) * (subject.count(sought) + 1) > _LONGEST:
        raise ValueProblem(f"the result is larger than {_LONGEST}")
    return subject.replace(sought, other)


def _compiled(pattern: Value) -> re.Pattern[str]:
    return compile_go(as_text(pattern))


def _regex_replace(text: Value, pattern: Value, replacement: Value) -> Value:
    template = as_text(replacement)

    def replaced(found: re.Match[str]) -> str:
        def group(reference: re.Match[str]) -> str:
            name = reference[1] or reference[2]
            if name is None:
                return "$"
            try:
                return found[int(name) if name.isdigit() else name] or ""
            except (IndexError, ValueError):
                return ""

        return _GROUP.sub(group, template)

    return _compiled(pattern).sub(replaced, as_text(text))


def _match_value(found: re.Match[str]) -> Value:
    """What `regex` gives: the text, or the groups as a list, or as an object if they have names."""
    if found.re.groupindex:
        return dict(found.groupdict())
    return list(found.groups()) if found.re.groups else found[0]


def _regex(pattern: Value, text: Value) -> Value:
    found = _compiled(pattern).search(as_text(text))
    if found is None:
        raise ValueProblem(f'"{as_text(pattern)}" does not match "{as_text(text)}"')
    return _match_value(found)


def _format(template: Value, *arguments: Value) -> Value:
    """A printf with Go's verbs: %s %v %d %t %q %f %e %g %x %X %o %b."""
    position = 0
    used: set[int] = set()

    def verb(found: re.Match[str]) -> str:
        nonlocal position
        index, flags, width, precision, letter = found.groups()
        if letter == "%":
            return "%"
        number = int(index) - 1 if index else position
        if not 0 <= number < len(arguments):
            raise ValueProblem(f"there is no argument for {found[0]}")
        position = number + 1
        used.add(number)
        text = _verb(letter, arguments[number], precision, flags)
        if "-" in flags:
            return text.ljust(int(width or 0))
        if "0" in flags and letter in "dfegxXob":
            return text.zfill(int(width or 0))
        return text.rjust(int(width or 0))

    pattern = as_text(template)
    plain = _VERB.sub("", pattern)
    if "%" in plain:
        raise ValueProblem(f'"{pattern}" has a % that is no verb (write %% for the sign itself)')
    result = _VERB.sub(verb, pattern)
    if len(used) < len(arguments) and "[" not in pattern:
        raise ValueProblem(f"{len(arguments)} arguments are given, {len(used)} are used")
    return result


def _verb(letter: str, value: Value, precision: str | None, flags: str) -> str:
    sign = "+" if "+" in flags else " " if " " in flags else ""
    match letter:
        case "s":
            text = as_text(value)
            return text if precision is None else text[: int(precision)]
        case "v":
            return (
                as_text(value) if "#" not in flags and isinstance(value, str | bool | int | float) else json_text(value)
            )
        case "q":
            return json.dumps(as_text(value), ensure_ascii=False)
        case "t":
            if not isinstance(value, bool):
                raise ValueProblem("%t is for bools")
            return as_text(value)
        case "d" | "b" | "o" | "x" | "X":
            if letter in "xX" and isinstance(value, str):
                text = value.encode("utf-8", "surrogateescape").hex()
                return text.upper() if letter == "X" else text
            return format(whole(value), sign + letter)
        case "f" | "e" | "g":
            return format(float(as_number(value)), f"{sign}.{precision or 6}{letter}")
        case _:
            raise ValueProblem(f"there is no verb %{letter}")


def _formatlist(template: Value, *arguments: Value) -> Value:
    lengths = {len(one) for one in arguments if isinstance(one, list)}
    if len(lengths) > 1:
        raise ValueProblem("the lists are not of one length")
    count = lengths.pop() if lengths else 1
    return [_format(template, *(a[i] if isinstance(a, list) else a for a in arguments)) for i in range(count)]


def _title(text: Value) -> Value:
    return re.sub(r"(?<![^\W_])[^\W\d_]", lambda found: found[0].upper(), as_text(text))


def _substr(text: Value, offset: Value, length: Value) -> Value:
    subject, start, count = as_text(text), whole(offset), whole(length)
    start = max(0, len(subject) + start) if start < 0 else start
    return subject[start:] if count < 0 else subject[start : start + count]


def _indent(count: Value, text: Value) -> Value:
    spaces = whole(count)
    if not 0 <= spaces <= 1000:
        raise ValueProblem("an indent is 0 to 1000 spaces")
    return as_text(text).replace("\n", "\n" + " " * spaces)


def _hash(name: str) -> _Entry:
    return lambda text: hashlib.new(name, as_text(text).encode("utf-8", "surrogateescape")).hexdigest(), 1, 1


def _base64decode(text: Value) -> Value:
    try:
        return base64.b64decode(as_text(text), validate=True).decode()
    except ValueError:
        raise ValueProblem(f'"{as_text(text)}" is no base64 of a text') from None


def _jsondecode(text: Value) -> Value:
    try:
        value: Value = json.loads(as_text(text))
        json.dumps(value, allow_nan=False)
    except ValueError as error:
        raise ValueProblem(f"the text is no JSON: {error}") from None
    return value


def _csvdecode(text: Value) -> Value:
    import csv

    try:
        rows = list(csv.reader(as_text(text).splitlines(), strict=True))
    except csv.Error as error:
        raise ValueProblem(f"the text is no CSV: {error}") from None
    if not rows or any(len(row) != len(rows[0]) for row in rows):
        raise ValueProblem("every row of a CSV has as many fields as the first")
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def _basename(text: Value) -> Value:
    stripped = as_text(text).rstrip("/")
    return stripped.rpartition("/")[2] if stripped else ("/" if as_text(text) else ".")


def _dirname(text: Value) -> Value:
    import posixpath

    return posixpath.normpath(as_text(text).rpartition("/")[0] or ("/" if as_text(text).startswith("/") else "."))


TEXT: Mapping[str, _Entry] = {
    "base64decode": (_base64decode, 1, 1),
    "base64encode": (lambda t: base64.b64encode(as_text(t).encode("utf-8", "surrogateescape")).decode(), 1, 1),
    "basename": (_basename, 1, 1),
    "chomp": (lambda t: as_text(t).rstrip("\r\n"), 1, 1),
    "csvdecode": (_csvdecode, 1, 1),
    "dirname": (_dirname, 1, 1),
    "format": (_format, 1, None),
    "formatlist": (_formatlist, 1, None),
    "indent": (_indent, 2, 2),
    "join": (_join, 2, None),
    "jsondecode": (_jsondecode, 1, 1),
    "jsonencode": (json_text, 1, 1),
    "lower": (lambda t: as_text(t).lower(), 1, 1),
    "md5": _hash("md5"),
    "regex": (_regex, 2, 2),
    "regex_replace": (_regex_replace, 3, 3),
    "regexall": (lambda p, t: [_match_value(m) for m in _compiled(p).finditer(as_text(t))], 2, 2),
    "replace": (_replace, 3, 3),
    "reverse": (lambda t: as_text(t)[::-1], 1, 1),
    "sanitize": (lambda t: re.sub(r"[^a-zA-Z0-9_-]", "_", as_text(t)), 1, 1),
    "sha1": _hash("sha1"),
    "sha256": _hash("sha256"),
    "sha512": _hash("sha512"),
    "split": (_split, 2, 2),
    "strlen": (lambda t: len(as_text(t)), 1, 1),
    "substr": (_substr, 3, 3),
    "title": (_title, 1, 1),
    "trim": (lambda t, cut: as_text(t).strip(as_text(cut)) if cut else as_text(t), 2, 2),
    "trimprefix": (lambda t, p: as_text(t).removeprefix(as_text(p)), 2, 2),
    "trimspace": (lambda t: as_text(t).strip(), 1, 1),
    "trimsuffix": (lambda t, s: as_text(t).removesuffix(as_text(s)), 2, 2),
    "upper": (lambda t: as_text(t).upper(), 1, 1),
    "urlencode": (lambda t: urllib.parse.quote_plus(as_text(t).encode("utf-8", "surrogateescape")), 1, 1),
}
