from __future__ import annotations

import pickle
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyoci import errors
from pyoci.errors import BuildError, CommandFailed, LayerError, PyociError, RegistryError, located, raise_collected
from pyoci.location import Location, SourceFile

HERE = Location(SourceFile("Dockerfile", "RUN x"), 1)
THERE = Location(SourceFile("Dockerfile", "RUN x"), 9)


def test_the_tree_in_the_docstring_is_the_tree_of_classes() -> None:
    drawn: dict[str, str] = {}
    above: dict[int, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^( *[│ ]*(?:[├└]── )?)([A-Z]\w+)(?:\(.*\))?(?:  .*|)$", line)
        if found:
            depth = (len(found[1]) - 4) // 4
            above[depth] = found[2]
            if depth:
                drawn[found[2]] = above[depth - 1]
    classes = {
        cls.__name__: cls.__mro__[1].__name__
        for cls in vars(errors).values()
        if isinstance(cls, type) and issubclass(cls, PyociError) and cls is not PyociError
    }
    assert drawn == classes


def test_everything_public_is_exported() -> None:
    classes = {
        name for name, value in vars(errors).items() if isinstance(value, type) and value.__module__ == errors.__name__
    }
    assert classes <= set(errors.__all__)


def test_a_place_is_given_to_an_error_that_has_none() -> None:
    with pytest.raises(BuildError) as caught, located(HERE):
        raise BuildError("x")
    assert caught.value.location is HERE


def test_a_place_nearer_to_the_fault_is_kept() -> None:
    with pytest.raises(BuildError) as caught, located(THERE), located(HERE):
        raise BuildError("x")
    assert caught.value.location is HERE


def test_other_exceptions_pass_unchanged() -> None:
    with pytest.raises(ZeroDivisionError), located(HERE):
        raise ZeroDivisionError


def test_collected_errors_travel_with_the_first() -> None:
    first, second, third = PyociError("1"), PyociError("2"), PyociError("3")
    raise_collected([])
    with pytest.raises(PyociError) as caught:
        raise_collected([first, second, third])
    assert caught.value is first
    assert first.others == (second, third)


@given(st.text())
def test_message_and_hint_are_one_line_whatever_they_quote(text: str) -> None:
    error = PyociError(text, hint=text)
    for shown in (str(error), error.message, error.hint or ""):
        assert shown == "" or shown.splitlines() == [shown]
        assert not {unicodedata.category(sign) for sign in shown} & {"Cc", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb", r"a\nb"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\x9b31m", r"\x9b31m"),
        ("abc\u202etxt.exe", r"abc\u202etxt.exe"),
        ('köln "☃" a\\nb', 'köln "☃" a\\nb'),
    ],
)
def test_a_terminal_is_not_steered_by_what_is_quoted(text: str, shown: str) -> None:
    assert str(PyociError(text)) == shown


@pytest.mark.parametrize(
    "error",
    [
        LayerError("m", hint="h"),
        RegistryError("m", method="GET", url="https://x", status=404, code="C", detail="d"),
        CommandFailed("m", status=3, output_tail=["a"]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_come_back_whole_from_a_worker_process(error: PyociError) -> None:
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert vars(back) == vars(error)
