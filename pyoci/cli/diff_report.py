"""What `pyoci diff` found, as lines for a terminal, as Markdown, and as JSON. Pure: gives strings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pyoci.cli.markdown import escaped, markdown_table
from pyoci.cli.progress import human_size
from pyoci.cli.render_error import visible

if TYPE_CHECKING:
    from pyoci.api.diff import ImageDiff
    from pyoci.inspection.files_diff import FileChange
    from pyoci.inspection.layers_diff import LayerPair
    from pyoci.inspection.listing import ListedFile

__all__ = ["diff_json", "diff_markdown", "diff_text"]

_LETTERS = {"added": "A", "changed": "C", "removed": "D"}
"""As docker diff has them."""
_LONGEST = 200


def diff_text(found: ImageDiff, *, layers: bool) -> str:
    """Sections with a line for each difference; the letters are those of docker diff."""
    parts: list[str] = []
    for title, rows in _sections(found, layers=layers):
        parts.append(f"{title}\n" + "".join(f"  {'  '.join(filter(None, map(visible, row)))}\n" for row in rows))
    return "\n".join([*parts, f"{_summary(found)}\n"])


def diff_markdown(found: ImageDiff, *, layers: bool) -> str:
    """The same as tables."""
    parts = [f"### {escaped(found.before)} → {escaped(found.after)}\n", f"{escaped(_summary(found))}\n"]
    for title, rows in _sections(found, layers=layers):
        head = {"Files": ["", "Path", "What"]}.get(title, ["", "What", "Change"])
        parts.append(f"#### {title}\n\n{markdown_table(head, rows)}")
    return "\n".join(parts)


def diff_json(found: ImageDiff) -> str:
    """Everything, layers included."""
    value = {
        "before": {"image": found.before, "digest": found.before_digest},
        "after": {"image": found.after, "digest": found.after_digest},
        "different": found.is_different,
        "config": [
            {"field": each.field, "key": each.key, "before": each.before, "after": each.after} for each in found.config
        ],
        "packages": [
            {
                "system": each.system,
                "name": each.name,
                "place": each.place,
                "before": each.before,
                "after": each.after,
            }
            for each in found.packages
        ],
        "files": [
            {
                "path": each.path,
                "kind": each.kind,
                "changed": list(each.changed),
                "before": _file(each.before),
                "after": _file(each.after),
            }
            for each in found.files
        ],
        "layers": [
            {
                "diffId": each.diff_id,
                "before": each.before_number if each.before else None,
                "after": each.after_number if each.after else None,
                "sameBlob": each.is_same_blob,
                "createdBy": each.created_by,
            }
            for each in found.layers
        ],
    }
    return json.dumps(value, indent=2) + "\n"


def _file(found: ListedFile | None) -> dict[str, object] | None:
    if found is None:
        return None
    names = ("type", "size", "uid", "gid", "mtime", "layer", "digest", "link")
    return {name: getattr(found, name) for name in names if getattr(found, name) not in (None, "")} | {
        "mode": f"{found.mode:04o}"
    }


def _summary(found: ImageDiff) -> str:
    shared = sum(pair.is_shared for pair in found.layers)
    counts = {
        "added": sum(change.kind == "added" for change in found.files),
        "changed": sum(change.kind == "changed" for change in found.files),
        "removed": sum(change.kind == "removed" for change in found.files),
    }
    if not found.is_different:
        if found.before_digest == found.after_digest:
            return "the same image"
        return f"no difference but in times, history or how layers are cut; {shared} layers shared"
    files = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count) or "none"
    return (
        f"files: {files}; packages: {len(found.packages) or 'none'}; config: {len(found.config) or 'none'}; "
        f"{shared} of {len(found.layers)} layers shared"
    )


def _sections(found: ImageDiff, *, layers: bool) -> Iterator[tuple[str, list[list[str]]]]:
    if found.config:
        rows = []
        for each in found.config:
            name = f"{each.field} {each.key}" if each.key else each.field
            rows.append([_sign(each.before, each.after), name, _values(each.before, each.after)])
        yield "Config", rows
    if found.packages:
        rows = []
        for package in found.packages:
            name = f"{package.system} {package.name}" + (f" in {package.place}" if package.place else "")
            rows.append([_sign(package.before, package.after), name, _values(package.before, package.after)])
        yield "Packages", rows
    if found.files:
        yield "Files", [[_LETTERS[each.kind], each.path, _what(each)] for each in found.files]
    if layers and found.layers:
        yield "Layers", [_layer(pair) for pair in found.layers]


def _sign(before: str | None, after: str | None) -> str:
    return "A" if before is None else "D" if after is None else "C"


def _values(before: str | None, after: str | None) -> str:
    old, new = _cut(before), _cut(after)
    if before is None or after is None:
        return old or new
    return f"{old} -> {new}"


def _cut(text: str | None) -> str:
    text = text or ""
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _what(change: FileChange) -> str:
    old, new = change.before, change.after
    if old is None or new is None:
        one = old or new
        if one is None or one.type == "dir":
            return "directory"
        return f"-> {one.link}" if one.type == "symlink" else human_size(one.size) if one.type == "file" else one.type
    told = {
        "type": f"{old.type} -> {new.type}",
        "mode": f"mode {old.mode:04o} -> {new.mode:04o}",
        "owner": f"owner {old.uid}:{old.gid} -> {new.uid}:{new.gid}",
        "size": f"size {old.size} -> {new.size}",
        "content": "content",
        "link": f"link {old.link} -> {new.link}",
        "device": f"device {old.device} -> {new.device}",
        "xattrs": f"xattrs {_xattrs(old)} -> {_xattrs(new)}",
        "mtime": f"mtime {old.mtime} -> {new.mtime}",
    }
    return ", ".join(told[aspect] for aspect in change.changed)


def _xattrs(found: ListedFile) -> str:
    return " ".join(f"{name}={value.hex()}" for name, value in sorted(found.xattrs.items())) or "none"


def _layer(pair: LayerPair) -> list[str]:
    sign = ("=" if pair.is_same_blob else "~") if pair.is_shared else "D" if pair.before else "A"
    numbers = f"{pair.before_number if pair.before else '-'}/{pair.after_number if pair.after else '-'}"
    how = " (compressed differently)" if sign == "~" else ""
    return [sign, f"{numbers} {pair.diff_id.partition(':')[2][:12]}", _cut(pair.created_by) + how]
