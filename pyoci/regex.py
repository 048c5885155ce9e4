"""Regular expressions that are compiled when they are first used.

Most are imported in vain: a build that finds everything as it was uses two of thirty, and to compile the others would
take longer than the look at its context.
"""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast

__all__ = ["regex"]


class _Lazy:
    """Becomes what it stands for, method by method."""

    def __init__(self, text: Any, flags: int) -> None:
        self._said = text, flags

    def __getattr__(self, name: str) -> Any:
        value = getattr(re.compile(*self._said), name)
        setattr(self, name, value)  # the next time it is found without asking here
        return value


def regex(text: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """What `re.compile` returns, but for its type; a mistake in the expression shows when it is used."""
    return cast("re.Pattern[AnyStr]", _Lazy(text, flags))
