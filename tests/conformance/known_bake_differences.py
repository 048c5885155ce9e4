"""Where `bake` differs from buildx on purpose: by case, with the reason. A difference that vanishes fails the test."""

from __future__ import annotations

__all__ = ["KNOWN"]

_ARCHIVE = "buildx 0.36 cannot read archives: it ends with an invalid input type for copy"
_UNKNOWN = "buildx ignores what it does not know; pyoci names it"
_LOST = "buildx 0.36 loses the values of this key; pyoci sets them"

KNOWN: dict[str, str] = {
    "compose-entitlements": "buildx does not read entitlements of a service; a build that needs them would fail",
    "compose-no-cache-filter": "buildx does not read no_cache_filter of a service, though Compose has it",
    "compose-ulimit-single": "buildx makes 0 of a limit that is one number; Compose means both by it",
    "expression-bad-division": "HCL computes with infinity, which no build argument can mean",
    "expression-third": "HCL has numbers of 512 bits and shows all their digits; pyoci has those of 64 bits",
    "files-relative-merged": "buildx forgets the context that the first of two blocks of a target says, pyoci does not",
    "group-circle": "a group in itself adds nothing; buildx takes it for a target",
    "json-bad-attribute": _UNKNOWN,
    "remote-archive": _ARCHIVE,
    "remote-archive-file": _ARCHIVE,
    "remote-archive-sub": _ARCHIVE,
    "set-bad-output": "buildx takes an output of one key for the name of a directory",
    "set-lists-of-steps": _LOST,
    "set-network": _LOST,
    "target-bad-attribute": _UNKNOWN,
    "target-bad-nested": _UNKNOWN,
    "target-bad-resources": _UNKNOWN,
    "target-inherits-circle": "buildx leaves out what comes round again; which part that is depends on where it began",
    "target-null-entries": "null says nothing, for every attribute",
    "variable-unknown-attribute": _UNKNOWN,
}
