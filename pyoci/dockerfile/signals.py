"""The signals that STOPSIGNAL may name: a number, or a name of Linux with or without SIG."""

from __future__ import annotations

from pyoci.regex import regex

__all__ = ["is_signal"]

_NAME = regex(
    r"(?:SIG)?(?:ABRT|ALRM|BUS|CHLD|CLD|CONT|FPE|HUP|ILL|INT|IO|IOT|KILL|PIPE|POLL|PROF|PWR|QUIT|SEGV|STKFLT|STOP|SYS"
    r"|TERM|TRAP|TSTP|TTIN|TTOU|URG|USR1|USR2|VTALRM|WINCH|XCPU|XFSZ"
    r"|RTMIN(?:\+(?:[1-9]|1[0-5]))?|RTMAX(?:-(?:[1-9]|1[0-4]))?)"
)
_NUMBER = regex(r"[+-]?0*([1-9][0-9]{0,17})")


def is_signal(text: str) -> bool:
    """Whether docker takes the text for a signal: a number but 0, or a name in any case."""
    return bool(_NUMBER.fullmatch(text) or _NAME.fullmatch(text.upper()))
