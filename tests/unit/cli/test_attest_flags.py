"""What the flags of attestations ask for together."""

from __future__ import annotations

import pytest

from pyoci.cli.attest_flags import Attestations, parse_attestations
from pyoci.errors import UsageError

NOTHING = Attestations()


@pytest.mark.parametrize(
    ("attest", "provenance", "asked"),
    [
        ((), "", NOTHING),
        ((), "false", NOTHING),
        ((), "disabled=true", NOTHING),
        ((), "true", Attestations("min")),
        ((), "1", Attestations("min")),
        ((), "mode=max", Attestations("max")),
        ((), "mode=min,builder-id=https://ci.example/1,version=v1", Attestations("min", "https://ci.example/1")),
        (("type=provenance",), "", Attestations("min")),
        (("type=provenance,mode=max",), "", Attestations("max")),
        (("type=provenance,disabled=true", "type=sbom,disabled=true"), "", NOTHING),
        (("type=sbom",), "mode=max", Attestations("max", sbom=True)),
        (("type=sbom,disabled=false",), "", Attestations(sbom=True)),
    ],
)
def test_what_is_asked_for(attest: tuple[str, ...], provenance: str, asked: Attestations) -> None:
    assert parse_attestations(attest, provenance=provenance, sbom="") == asked


def test_a_list_of_packages() -> None:
    assert parse_attestations((), provenance="", sbom="true") == Attestations(sbom=True)
    assert parse_attestations((), provenance="", sbom="false") == NOTHING


@pytest.mark.parametrize(
    ("attest", "provenance", "message"),
    [
        ((), "mode=most", '--provenance=mode=most: invalid provenance mode "most"'),
        ((), "version=v0.2", "provenance is written in version v1"),
        ((), "color=red", 'unexpected key "color"'),
        (("type=provenance",), "true", "--provenance=true: duplicate attestation of type provenance"),
        (("type=sbom,generator=example/scanner",), "", 'unexpected key "generator"'),
        (("type=vex",), "", '--attest type=vex: unknown attestation type "vex"'),
        (("mode=max",), "", '--attest mode=max: unknown attestation type ""'),
    ],
)
def test_what_is_refused(attest: tuple[str, ...], provenance: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_attestations(attest, provenance=provenance, sbom="")
    assert message in caught.value.message
