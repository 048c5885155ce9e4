"""The value of `--output`, as docker buildx writes it."""

from __future__ import annotations

from pathlib import Path
from typing import cast, get_args

from pyoci.build.request import Output, OutputType
from pyoci.cli.arguments import key_values
from pyoci.errors import UsageError

__all__ = ["parse_output", "write_result"]

_KEYS = {
    "image": {"name", "push"},
    "registry": {"name", "push"},
    "oci": {"dest", "name", "tar"},
    "docker": {"dest", "name"},
    "local": {"dest"},
    "tar": {"dest"},
}


def parse_output(text: str) -> Output:
    """`type=oci,dest=app.tar`, or a lone path: `-` is a tar on stdout, anything else a directory.

    Raises:
        UsageError: an unknown type or key.
    """
    if "=" not in text and "," not in text:
        return Output("tar", "-") if text == "-" else Output("local", text)
    values = key_values(text, "--output")
    kind = values.pop("type", "")
    if kind not in get_args(OutputType):
        raise UsageError(
            f'unknown output type "{kind}"', hint="the types are oci, docker, local, tar, image and registry"
        )
    unknown = sorted(set(values) - _KEYS[kind])
    if unknown:
        raise UsageError(
            f'unknown key "{unknown[0]}" for output type {kind}', hint=f"the keys are {', '.join(sorted(_KEYS[kind]))}"
        )
    return Output(cast("OutputType", kind), values.pop("dest", ""), values)


def write_result(path: str, text: str) -> None:
    """Writes a small file about what was built; it appears whole or not at all.

    Raises:
        UsageError: it cannot be written.
    """
    target = Path(path)
    scratch = target.with_name(f".{target.name}.partial")
    try:
        scratch.write_text(text)
        scratch.replace(target)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
