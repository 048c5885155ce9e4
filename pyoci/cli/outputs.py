"""The values of `--output`, `--cache-from` and `--cache-to`, as docker buildx writes them."""

from __future__ import annotations

from pathlib import Path
from typing import cast, get_args

from pyoci.build.request import CachePlace, Output, OutputType
from pyoci.cli.arguments import key_values
from pyoci.errors import UsageError
from pyoci.values import replace

__all__ = ["parse_caches", "parse_output", "pushed", "write_result"]


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
    from pyoci.api.output_options import check_attributes

    output = Output(cast("OutputType", kind), values.pop("dest", ""), values)
    check_attributes(output)
    return output


def pushed(outputs: list[Output]) -> list[Output]:
    """The outputs with `--push`: it pushes what `type=image` makes, as that says; else the image as it is."""
    if not any(output.type == "image" for output in outputs):
        return [*outputs, Output("registry")]
    return [
        replace(output, attributes={**output.attributes, "push": "true"}) if output.type == "image" else output
        for output in outputs
    ]


def parse_caches(text: str, flag: str) -> list[CachePlace]:
    """`type=registry,ref=NAME`, or lone names of images; `inline` is what docker's older builder called that.

    Raises:
        UsageError: it is malformed, or has no type.
    """
    if "=" not in text:
        return [
            CachePlace("inline") if name == "inline" and flag == "--cache-to" else CachePlace("registry", {"ref": name})
            for name in text.split(",")
        ]
    values = key_values(text, flag)
    kind = values.pop("type", "")
    if not kind:
        raise UsageError(f"{flag} {text}: type is required", hint=f"write {flag} type=registry,ref=NAME")
    return [CachePlace(kind, values)]


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
