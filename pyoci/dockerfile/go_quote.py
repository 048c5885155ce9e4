"""Text in quotes as Go prints it: in the history of CMD and ENTRYPOINT, and in what build checks say.

Reference: `strconv.Quote` of the Go standard library.
"""

from __future__ import annotations

__all__ = ["go_quoted", "go_quoted_list"]


def go_quoted_list(words: tuple[str, ...]) -> str:
    """Words as Go's `%q` prints a list: `["a" "b"]`."""
    return "[" + " ".join(go_quoted(word) for word in words) + "]"


def go_quoted(text: str) -> str:
    """Text as Go's `%q` prints it; a byte that is not UTF-8 is a hexadecimal escape."""
    short = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
    short |= {'"': '\\"', "\\": "\\\\"}
    out = []
    for character in text:
        code = ord(character)
        if character in short:
            out.append(short[character])
        elif 0xDC80 <= code <= 0xDCFF:
            out.append(f"\\x{code - 0xDC00:02x}")
        elif code < 0x20 or code == 0x7F:
            out.append(f"\\x{code:02x}")
        elif character.isprintable():
            out.append(character)
        else:
            out.append(f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    return '"' + "".join(out) + '"'
