"""Functions of the standard library about time. The present is handed in: nothing here reads a clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from pyoci.bake.functions_of_text import whole
from pyoci.bake.values import Value, ValueProblem, as_text
from pyoci.regex import regex

__all__ = ["time_functions"]

_Entry = tuple[Callable[..., Value], int, "int | None"]

_DURATION = regex(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|h|m|s)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_TOKEN = regex(r"'(?:[^']|'')*'|([a-zA-Z])\1*|[^a-zA-Z']+")
_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def _parsed(text: Value) -> datetime:
    word = as_text(text)
    try:
        found = datetime.fromisoformat(word)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None or "T" not in word:
        raise ValueProblem(f'"{word}" is no time as 2026-01-31T23:59:59Z')
    return found


def _shown(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _timeadd(text: Value, duration: Value) -> Value:
    word = as_text(duration)
    sign = -1 if word.startswith("-") else 1
    rest = word.lstrip("+-")
    parts = _DURATION.findall(rest)
    if "".join(number + unit for number, unit in parts) != rest or not parts:
        raise ValueProblem(f'"{word}" is no duration as 1h30m')
    try:
        return _shown(_parsed(text) + timedelta(seconds=sign * sum(float(n) * _SECONDS[unit] for n, unit in parts)))
    except OverflowError:
        raise ValueProblem("the time is out of range") from None


def _formatdate(pattern: Value, text: Value) -> Value:
    moment = _parsed(text)
    template = as_text(pattern)
    result = ""
    for found in _TOKEN.finditer(template):
        token = found[0]
        if token.startswith("'"):
            result += token[1:-1].replace("''", "'") or "'"
        elif token[0].isalpha():
            result += _field(token, moment)
        else:
            result += token
    if len("".join(found[0] for found in _TOKEN.finditer(template))) != len(template):
        raise ValueProblem(f'"{template}" has a quote that is not closed')
    return result


def _field(token: str, moment: datetime) -> str:
    offset = moment.strftime("%z")
    zulu = "Z" if offset == "+0000" else f"{offset[:3]}:{offset[3:5]}"
    hour = moment.hour % 12 or 12
    fields = {
        "YYYY": f"{moment.year:04}",
        "YY": f"{moment.year % 100:02}",
        "MMMM": _MONTHS[moment.month - 1],
        "MMM": _MONTHS[moment.month - 1][:3],
        "MM": f"{moment.month:02}",
        "M": str(moment.month),
        "DD": f"{moment.day:02}",
        "D": str(moment.day),
        "EEEE": _DAYS[moment.weekday()],
        "EEE": _DAYS[moment.weekday()][:3],
        "hh": f"{moment.hour:02}",
        "h": str(moment.hour),
        "HH": f"{hour:02}",
        "H": str(hour),
        "AA": "PM" if moment.hour >= 12 else "AM",
        "aa": "pm" if moment.hour >= 12 else "am",
        "mm": f"{moment.minute:02}",
        "m": str(moment.minute),
        "ss": f"{moment.second:02}",
        "s": str(moment.second),
        "ZZZZZ": f"{offset[:3]}:{offset[3:5]}",
        "ZZZZ": offset[:5],
        "ZZZ": "UTC" if offset == "+0000" else offset[:5],
        "Z": zulu,
    }
    if token not in fields:
        raise ValueProblem(f'"{token}" is no field of a date (quote it to have the letters themselves)')
    return fields[token]


def _as_object(moment: datetime) -> Value:
    return {
        "year": moment.year,
        "year_day": moment.timetuple().tm_yday,
        "day": moment.day,
        "month": moment.month,
        "month_name": _MONTHS[moment.month - 1],
        "weekday": (moment.weekday() + 1) % 7,
        "weekday_name": _DAYS[moment.weekday()],
        "hour": moment.hour,
        "minute": moment.minute,
        "second": moment.second,
        "rfc3339": _shown(moment),
        "iso_year": moment.isocalendar().year,
        "iso_week": moment.isocalendar().week,
    }


def _from_unix(seconds: Value) -> datetime:
    try:
        return datetime.fromtimestamp(whole(seconds), UTC)
    except (OverflowError, OSError, ValueError):
        raise ValueProblem("the time is out of range") from None


def _formattimestamp(pattern: Value, moment: Value) -> Value:
    """As `formatdate`, of a time or of seconds since 1970; the pattern `X` gives those seconds."""
    is_number = isinstance(moment, int | float) and not isinstance(moment, bool)
    found = _from_unix(moment) if is_number else _parsed(moment)
    return str(int(found.timestamp())) if pattern == "X" else _formatdate(pattern, _shown(found))


def time_functions(now: int) -> Mapping[str, _Entry]:
    """The functions, with the present in seconds since 1970."""
    return {
        "formatdate": (_formatdate, 2, 2),
        "formattimestamp": (_formattimestamp, 2, 2),
        "timeadd": (_timeadd, 2, 2),
        "timestamp": (lambda: _shown(datetime.fromtimestamp(now, UTC)), 0, 0),
        "unixtimestampparse": (lambda seconds: _as_object(_from_unix(seconds)), 1, 1),
    }
