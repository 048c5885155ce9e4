"""SOURCE_DATE_EPOCH of builds that ask nobody: numbers, what has no time, and builds in which nothing changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pyoci.api.bake import BakeRequest, bake
from pyoci.api.build import build
from pyoci.api.build_checks import check_build
from pyoci.api.services import Options
from pyoci.build.request import BuildRequest
from pyoci.environment import epoch_seconds
from pyoci.errors import UsageError
from tests.unit.api.world import options_in

DOCKERFILE = """\
ARG SOURCE_DATE_EPOCH=5
ARG WRITTEN=$SOURCE_DATE_EPOCH
FROM scratch
ARG SOURCE_DATE_EPOCH
ARG WRITTEN
LABEL epoch="<$SOURCE_DATE_EPOCH>" written=$WRITTEN
"""


@pytest.fixture
def options(tmp_path: Path) -> Options:
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "Dockerfile").write_text(DOCKERFILE)
    return options_in(tmp_path)


def with_environment(options: Options, value: str) -> Options:
    variables = {**options.environment.variables, "SOURCE_DATE_EPOCH": value}
    return replace(options, environment=replace(options.environment, variables=variables))


def made(options: Options, **arguments: str) -> tuple[str | None, str, str]:
    result = build(BuildRequest("context", build_args=arguments), options=options)
    config = result.images[0].config.value
    return config.created, config.config.labels["epoch"], config.config.labels["written"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("007", 7),
        ("99999999999", 99999999999),
        ("999999999999", None),
        ("", None),
        ("-1", None),
        ("\u0663", None),
    ],
)
def test_numbers_of_seconds(text: str, seconds: int | None) -> None:
    assert epoch_seconds(text) == seconds


def test_what_an_argument_is_in_stages(options: Options) -> None:
    """Arguments before the first FROM take what is written: BuildKit resolves the value after them."""
    assert made(options) == ("1970-01-01T00:00:05Z", "<5>", "5")
    assert made(options, SOURCE_DATE_EPOCH="007") == ("1970-01-01T00:00:07Z", "<7>", "007")
    assert made(options, SOURCE_DATE_EPOCH="0") == ("1970-01-01T00:00:00Z", "<0>", "0")
    assert made(options, SOURCE_DATE_EPOCH="context") == ("1970-01-01T00:00:00Z", "<>", "context")
    assert made(options, SOURCE_DATE_EPOCH="") == ("1970-01-01T00:00:00Z", "<>", "")
    assert made(with_environment(options, "9")) == ("1970-01-01T00:00:09Z", "<9>", "5")
    assert made(with_environment(options, "context")) == ("1970-01-01T00:00:00Z", "<>", "5")


def test_a_value_that_means_nothing(options: Options) -> None:
    for given in (with_environment(options, "soon"), options):
        arguments = {} if given is not options else {"SOURCE_DATE_EPOCH": "soon"}
        for call in (lambda request, o: build(request, options=o), lambda request, o: check_build(request, options=o)):
            with pytest.raises(UsageError, match=r"^invalid SOURCE_DATE_EPOCH: soon$"):
                call(BuildRequest("context", build_args=arguments), given)


def test_targets_of_a_bake_have_their_own(options: Options) -> None:
    requests = {
        value: BakeRequest(BuildRequest("context", build_args={"SOURCE_DATE_EPOCH": value}))
        for value in ("context", "8")
    }
    results = bake(requests, options=options)
    found = {name: result.images[0].config.value.config.labels["epoch"] for name, result in results.items()}
    assert found == {"context": "<>", "8": "<8>"}
