"""`--provenance`, `--sbom` and `--attest`, as docker buildx writes them, to what is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, cast

from pyoci.cli.arguments import FALSE, TRUE, key_values
from pyoci.errors import UsageError
from pyoci.values import dataclass, replace

__all__ = ["Attestations", "parse_attestations"]

_KEYS = ("mode", "builder-id", "version")


@dataclass(frozen=True, slots=True)
class Attestations:
    """What is attested: nothing unless it is asked for, unlike docker, whose default tells the time of day."""

    provenance: Literal["", "min", "max"] = ""
    builder_id: str = ""
    sbom: bool = False


def parse_attestations(attest: Iterable[str], *, provenance: str, sbom: str) -> Attestations:
    """What the flags ask for together.

    Raises:
        UsageError: one is asked for twice, or is not there; a key or value is unknown.
    """
    given = [(f"--attest {text}", key_values(text, "--attest")) for text in attest]
    for kind, text in (("provenance", provenance), ("sbom", sbom)):
        if text:
            flag = f"--{kind}={text}"
            values = {"disabled": "true"} if text in FALSE else {} if text in TRUE else key_values(text, f"--{kind}")
            given.append((flag, {"type": kind, **values}))
    found = Attestations()
    kinds: set[str] = set()
    for flag, values in given:
        kind = values.pop("type", "")
        if kind in kinds:
            raise UsageError(f"{flag}: duplicate attestation of type {kind}", hint="write one flag for each type")
        kinds.add(kind)
        if values.pop("disabled", "false") in TRUE:
            continue
        if kind == "provenance":
            mode, builder = _provenance(flag, values)
            found = replace(found, provenance=mode, builder_id=builder)
        elif kind == "sbom":
            if values:
                raise UsageError(
                    f'{flag}: unexpected key "{min(values)}"',
                    hint="the list is made by pyoci itself: there is no generator to choose",
                )
            found = replace(found, sbom=True)
        else:
            raise UsageError(f'{flag}: unknown attestation type "{kind}"', hint="the types are provenance and sbom")
    return found


def _provenance(flag: str, values: dict[str, str]) -> tuple[Literal["min", "max"], str]:
    unknown = sorted(set(values) - set(_KEYS))
    if unknown:
        raise UsageError(f'{flag}: unexpected key "{unknown[0]}"', hint=f"the keys are {', '.join(_KEYS)} and disabled")
    mode = values.get("mode", "min")
    if mode not in ("min", "max"):
        raise UsageError(f'{flag}: invalid provenance mode "{mode}"', hint="the modes are min and max")
    version = values.get("version", "v1")
    if version != "v1":
        raise UsageError(f'{flag}: provenance is written in version v1, not "{version}"', hint="leave version out")
    return cast('Literal["min", "max"]', mode), values.get("builder-id", "")
