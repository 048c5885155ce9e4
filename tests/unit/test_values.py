"""Values behave as the standard library's dataclasses do; every case is run with both."""

# mypy: disable-error-code="call-arg, attr-defined, arg-type, call-overload, operator, valid-type"

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar

import pytest

from pyoci import values

T = TypeVar("T")

OURS: Any = values
STANDARD: Any = dataclasses


@pytest.fixture(params=["pyoci.values", "dataclasses"])
def made(request: pytest.FixtureRequest) -> Any:
    return OURS if request.param == "pyoci.values" else STANDARD


@values.dataclass(frozen=True, slots=True)
class Pickled:
    name: str
    size: int = 0


def _point(made: Any, **options: Any) -> Any:
    @made.dataclass(slots=True, **{"frozen": True, **options})
    class Point:
        """A place."""

        x: int
        y: int = 2
        names: list[str] = made.field(default_factory=list, hash=False)
        note: str = made.field(default="", compare=False, repr=False)
        SHARED: ClassVar[int] = 7

    return Point


def test_init_takes_defaults_and_factories(made: Any) -> None:
    point = _point(made)
    one, other = point(1), point(1)
    assert (one.x, one.y, one.names, one.note, point.SHARED) == (1, 2, [], "", 7)
    assert one.names is not other.names
    assert point(x=3, names=["a"]).names == ["a"]
    given: list[str] = []
    assert point(1, 2, given).names is given


@pytest.mark.parametrize(
    "call", [lambda p: p(), lambda p: p(1, z=2), lambda p: p(1, 2, [], "", 5), lambda p: p(1, x=1)]
)
def test_init_refuses_other_arguments(made: Any, call: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError):
        call(_point(made))


def test_equality_is_of_the_same_class_and_the_compared_fields(made: Any) -> None:
    point, other = _point(made), _point(made)
    assert point(1, note="a") == point(1, note="b")
    assert point(1) != point(2)
    assert point(1) != other(1)
    assert point(1) != (1, 2, [], "")
    assert point(1).__eq__((1, 2)) is NotImplemented


def test_hash_is_of_the_hashed_fields(made: Any) -> None:
    point = _point(made)
    assert hash(point(1, 2, ["a"])) == hash(point(1, 2, ["b"]))
    assert hash(point(1)) == hash((1, 2))


def test_one_field_is_hashed_as_the_standard_library_does_where_it_is_compared(made: Any) -> None:
    @made.dataclass(frozen=True, slots=True)
    class One:
        x: int

    assert One(1) == One(1) != One(2)
    assert len({One(1), One(1), One(2)}) == 2


def test_no_fields(made: Any) -> None:
    @made.dataclass(frozen=True, slots=True)
    class Nothing:
        """Nothing."""

    assert Nothing() == Nothing()
    assert len({Nothing(), Nothing()}) == 1
    assert repr(Nothing()).endswith("Nothing()")


def test_a_mutable_one_has_no_hash(made: Any) -> None:
    point = _point(made, frozen=False)
    with pytest.raises(TypeError, match="unhashable"):
        hash(point(1))
    one = point(1)
    one.x = 5
    assert one == point(5)


def test_without_eq_it_is_itself_alone(made: Any) -> None:
    point = _point(made, eq=False)
    one = point(1)
    assert one != point(1)
    assert len({one, one, point(1)}) == 2


def test_repr_shows_the_shown_fields(made: Any) -> None:
    assert repr(_point(made)(1, names=["a"], note="hidden")) == "_point.<locals>.Point(x=1, y=2, names=['a'])"


def test_a_frozen_one_cannot_be_changed(made: Any) -> None:
    one = _point(made)(1)
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'x'"):
        one.x = 2
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'x'"):
        del one.x
    assert not hasattr(one, "__dict__")


def test_keywords_alone(made: Any) -> None:
    point = _point(made, kw_only=True)
    assert point(x=1).x == 1
    assert point.__match_args__ == ()
    with pytest.raises(TypeError):
        point(1)


def test_matching_by_position(made: Any) -> None:
    point = _point(made)
    match point(1, 5):
        case point(x, y):
            assert (x, y) == (1, 5)
        case _:
            pytest.fail("did not match")


def test_what_is_set_after_init(made: Any) -> None:
    @made.dataclass(frozen=True, slots=True)
    class Doubled:
        x: int
        twice: int = made.field(init=False)

        def __post_init__(self) -> None:
            object.__setattr__(self, "twice", 2 * self.x)

    assert Doubled(4).twice == 8
    assert repr(Doubled(4)).endswith("Doubled(x=4, twice=8)")
    assert made.replace(Doubled(4), x=5).twice == 10
    with pytest.raises(TypeError):
        Doubled(4, 8)


def test_fields_are_inherited_and_given_other_defaults(made: Any) -> None:
    @made.dataclass(frozen=True, slots=True)
    class Base:
        x: int
        y: int = 2

        def total(self) -> int:
            return self.x + self.y

    @made.dataclass(frozen=True, slots=True)
    class Child(Base):
        z: int = 3
        y: int = 20

    assert Child(1) == Child(1, 20, 3)
    assert Child(1).total() == 21
    assert Child.__slots__ == ("z",)
    assert Child.__match_args__ == ("x", "y", "z")
    assert Child(1) != Base(1, 20)
    assert [field.name for field in dataclasses.fields(Child)] == ["x", "y", "z"]


def test_methods_of_its_own_are_kept(made: Any) -> None:
    @made.dataclass(frozen=True, slots=True)
    class Named:
        name: str

        def __repr__(self) -> str:
            return f"<{self.name}>"

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Named) and other.name.lower() == self.name.lower()

        def __hash__(self) -> int:
            return 5

    assert repr(Named("a")) == "<a>"
    assert Named("a") == Named("A")
    assert hash(Named("a")) == 5


def test_generic_classes(made: Any) -> None:
    @made.dataclass(frozen=True, slots=True)
    class Box(Generic[T]):
        value: T

    assert Box(5) == Box(5)
    assert Box[int].__origin__ is Box


def test_replace_makes_another(made: Any) -> None:
    one = _point(made)(1, note="kept")
    assert made.replace(one, x=9) == _replaced(one, 9)
    assert made.replace(one, x=9).note == "kept"
    with pytest.raises(TypeError):
        made.replace(one, other=1)


def _replaced(one: Any, x: int) -> Any:
    return type(one)(x, one.y, one.names, one.note)


def test_asdict_goes_into_values_and_collections(made: Any) -> None:
    @made.dataclass(frozen=True, slots=True)
    class Outer:
        one: Any
        many: tuple[Any, ...]
        named: dict[str, Any]

    point = _point(made)
    inside = {"x": 1, "y": 2, "names": [], "note": ""}
    outer = Outer(point(1), (point(1), 5), {"a": [point(1)]})
    expected = {"one": inside, "many": (inside, 5), "named": {"a": [inside]}}
    assert made.asdict(outer) == expected
    assert dataclasses.asdict(outer) == expected
    assert made.asdict(outer)["one"]["names"] is not outer.one.names


def test_the_functions_of_dataclasses_take_it(made: Any) -> None:
    point = _point(made)
    assert dataclasses.is_dataclass(point)
    assert made.is_dataclass(point(1))
    assert not made.is_dataclass(5)
    assert dataclasses.replace(point(1), x=4) == point(4)
    assert dataclasses.astuple(point(1)) == (1, 2, [], "")
    assert [field.name for field in made.fields(point(1))] == ["x", "y", "names", "note"]

    @dataclasses.dataclass(frozen=True)
    class Child(point):  # type: ignore[misc]
        z: int = 3

    assert Child(1).z == 3
    with pytest.raises(TypeError, match="frozen"):
        dataclasses.dataclass(type("Other", (point,), {"__annotations__": {"z": int}}))


def test_the_signature_is_there_to_be_read(made: Any) -> None:
    assert list(inspect.signature(_point(made)).parameters) == ["x", "y", "names", "note"]


def test_it_is_copied_and_pickled() -> None:
    one = Pickled("a", 5)
    assert copy.copy(one) == one
    assert copy.deepcopy(one) == one
    assert pickle.loads(pickle.dumps(one)) == one


def test_a_class_without_slots_is_refused() -> None:
    with pytest.raises((TypeError, AssertionError)):
        OURS.dataclass(frozen=True)(type("Loose", (), {"__annotations__": {"x": "int"}}))
