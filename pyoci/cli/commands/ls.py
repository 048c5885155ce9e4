"""`pyoci ls`: the tags of a repository, or the files of an image.

What is meant is decided by what is written, never by what is there. Files are listed where a path stands behind the
name, where the name has a tag or digest, and where it begins with `store:`, `oci-layout:`, `oci-archive:`,
`docker-archive:` or `docker-image://`; a name alone is a repository.
"""

from __future__ import annotations

import argparse
import json
import stat
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from pyoci.cli.arguments import IMAGE_HELP, add_looking, working
from pyoci.cli.render_error import visible
from pyoci.errors import UsageError

if TYPE_CHECKING:
    from pyoci.inspection.listing import ListedFile

__all__ = ["add_arguments", "run"]

_EPILOG = """\
A name alone is a repository, whose tags are listed. With a path behind it, with a tag or digest, or with one of the
prefixes, it is an image, whose files are listed: `pyoci ls app` asks a registry for tags, `pyoci ls app:latest` and
`pyoci ls app /` show what is in the image.
"""
_TYPES = {
    "file": stat.S_IFREG,
    "dir": stat.S_IFDIR,
    "symlink": stat.S_IFLNK,
    "hardlink": stat.S_IFREG,
    "char": stat.S_IFCHR,
    "block": stat.S_IFBLK,
    "fifo": stat.S_IFIFO,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Repository or image, path, and flags of ls."""
    parser.epilog = _EPILOG
    add = parser.add_argument
    add("name", metavar="REPOSITORY|IMAGE", help="repository without a tag; or " + IMAGE_HELP)
    add("path", nargs="?", metavar="PATH", help="directory or file in the image (default: /)")
    add("-l", "--long", action="store_true", help="show mode, owner, size and time as well")
    add("-R", "--recursive", action="store_true", help="show everything below as well, by whole paths")
    add("-n", "--numeric", action="store_true", help="as -l, with numbers of users and groups")
    add("-h", "--human-readable", action="store_true", help="with -l, sizes to be read by people")
    add("--layer", action="store_true", help="show which layer each is from, counted from 0")
    add("--json", action="store_true", help="print a JSON array")
    add_looking(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints a tag per line, as they come, or a line per file."""
    if not _means_files(arguments.name, arguments.path):
        flags = ("long", "recursive", "numeric", "human_readable", "layer", "json", "platform")
        given = next((flag for flag in flags if getattr(arguments, flag)), None)
        if given:
            raise UsageError(
                f"--{given.replace('_', '-')} is for files, and {arguments.name} is a repository",
                hint=f"write {arguments.name}:TAG, or a path behind it",
            )
        from pyoci.api.repositories import list_tags

        with working(arguments) as options:
            for tag in list_tags(arguments.name, options=options):
                sys.stdout.write(f"{visible(tag)}\n")
        return 0
    _list_files(arguments)
    return 0


def _means_files(name: str, path: str | None) -> bool:
    from pyoci.api.anywhere import is_elsewhere
    from pyoci.reference import parse_reference

    if path is not None or is_elsewhere(name):
        return True
    reference = parse_reference(name, default_tag=None)
    return bool(reference.tag or reference.digest)


def _list_files(arguments: argparse.Namespace) -> None:
    from pyoci.api.files import list_files

    is_long = arguments.long or arguments.numeric
    with working(arguments) as options:
        found = list_files(
            arguments.name,
            arguments.path or "/",
            recursive=arguments.recursive,
            follow_last=not is_long,
            platform=arguments.platform,
            options=options,
        )
    if arguments.json:
        sys.stdout.write(json.dumps([_value(each) for each in found], indent=2) + "\n")
        return
    asked = f"/{(arguments.path or '/').strip('/')}"
    is_whole = arguments.recursive or (len(found) == 1 and found[0].path == asked)
    rows = [_row(each, arguments, is_whole=is_whole) for each in found]
    widths = [max((len(row[at]) for row in rows), default=0) for at in range(len(rows[0]) if rows else 0)]
    aligned: list[Callable[[str, int], str]] = [str.ljust] * len(widths)
    if is_long:
        aligned[3 + arguments.layer] = str.rjust
    for row in rows:
        cells = [align(cell, width) for align, cell, width in zip(aligned, row, widths, strict=True)]
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def _row(found: ListedFile, arguments: argparse.Namespace, *, is_whole: bool) -> list[str]:
    name = visible(found.path if is_whole else found.path.rpartition("/")[2])
    cells = [str(found.layer) if found.layer >= 0 else "-"] if arguments.layer else []
    if arguments.long or arguments.numeric:
        from datetime import UTC, datetime

        from pyoci.cli.progress import human_size

        user, group = (found.user, found.group) if not arguments.numeric else ("", "")
        size = human_size(found.size) if arguments.human_readable else str(found.size)
        if found.type in ("char", "block"):
            size = f"{found.device[0]}, {found.device[1]}"
        try:
            time = f"{datetime.fromtimestamp(found.mtime, UTC):%Y-%m-%d %H:%M}"
        except (ValueError, OverflowError, OSError):
            time = f"@{found.mtime}"
        cells += [
            stat.filemode(_TYPES[found.type] | found.mode),
            visible(user) or str(found.uid),
            visible(group) or str(found.gid),
            size,
            time,
        ]
        if found.type == "symlink":
            name += f" -> {visible(found.link)}"
    return [*cells, name]


def _value(found: ListedFile) -> dict[str, object]:
    """A file as JSON; bytes of names that are not UTF-8 are lone surrogates, as Python's surrogateescape has them."""
    names = ("path", "type", "size", "uid", "gid", "user", "group", "mtime", "layer")
    value: dict[str, object] = {name: getattr(found, name) for name in names}
    value["mode"] = f"{found.mode:04o}"
    if found.type == "symlink":
        value["link"] = found.link
    if found.type in ("char", "block"):
        value["device"] = list(found.device)
    if found.digest:
        value["digest"] = found.digest
    if found.xattrs:
        value["xattrs"] = {name: content.hex() for name, content in sorted(found.xattrs.items())}
    return value
