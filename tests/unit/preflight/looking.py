"""Images made of a few items, and what preflight says of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pyoci.image.config import ContainerConfig
from pyoci.layer.tree import Tree
from pyoci.platforms import parse_platform
from pyoci.preflight.check import check_image
from pyoci.preflight.findings import Audience, Finding
from tests.builders import Item, changes_of, file
from tests.elf_builder import EM_X86_64, ET_DYN, ElfSpec, make_elf

__all__ = ["GLIBC_LOADER", "MUSL_LOADER", "STATIC", "executable", "look", "rules", "text_of"]

STATIC = make_elf(ElfSpec())
"""A statically linked program for amd64."""
GLIBC_LOADER = make_elf(
    ElfSpec(
        type=ET_DYN,
        soname="ld-linux-x86-64.so.2",
        versions=["GLIBC_2.2.5"],
        sections={
            ".rodata": b"/lib/x86_64-linux-gnu/\0/usr/lib/x86_64-linux-gnu/\0/lib/\0/usr/lib/\0glibc-ld.so.cache1.1\0"
        },
    )
)
MUSL_LOADER = make_elf(
    ElfSpec(
        type=ET_DYN, machine=EM_X86_64, dynamic=True, defined=["puts"], sections={".rodata": b"musl libc (x86_64)\n"}
    )
)


def executable(content: bytes, **attributes: int) -> Item:
    return file(content, **{"mode": 0o755, **attributes})  # type: ignore[arg-type]


def look(
    *layers: Mapping[str, Item],
    platform: str = "linux/amd64",
    skip: Iterable[str] = (),
    audience: Audience = "",
    config: ContainerConfig | None = None,
    **fields: Any,
) -> list[Finding]:
    """Everything found about an image of these layers."""
    given = config or ContainerConfig(**fields)
    tree = Tree([changes_of(items) for items in layers])
    return check_image(given, parse_platform(platform), tree, skip=skip, audience=audience)


def rules(found: Iterable[Finding]) -> list[str]:
    return [one.rule for one in found]


def text_of(found: Iterable[Finding]) -> list[str]:
    """Severity, message and hint, as a person reads them."""
    return [f"{one.severity}: {one.message} | {one.hint}" for one in found]
