"""The standard library's `dataclass` and what belongs to it, for values with slots, made seven times as fast.

A command imports some 200 classes before it does anything, and the standard library compiles six functions for each and
reads its source with `inspect`: two thirds of all importing. Here only `__init__` is compiled, when the first value is
made, and the other methods are shared. To a type checker and to the functions of `dataclasses` the classes are
dataclasses like any other. `tests/architecture/test_values.py` holds every one against what the standard library makes
of it.

Not here, as nothing in the package has a use for it: ordering, `InitVar`, dataclasses without slots.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

__all__ = ["asdict", "dataclass", "field", "fields", "is_dataclass", "replace"]

_MISSING: Any = object()


class _Field:
    """What a class says of one of its fields."""

    __slots__ = ("compare", "default", "default_factory", "hash", "init", "kw_only", "name", "repr", "type")

    def __init__(self) -> None:
        self.default: Any = _MISSING
        self.default_factory: Any = _MISSING
        self.init = True
        self.compare = True
        self.hash = True
        self.repr = True
        self.kw_only = False
        self.name = self.type = ""


def _field(
    *,
    default: Any = _MISSING,
    default_factory: Any = _MISSING,
    init: bool = True,
    compare: bool = True,
    hash: bool | None = None,
    repr: bool = True,
) -> Any:
    one = _Field()
    one.default, one.default_factory, one.init = default, default_factory, init
    one.compare, one.hash, one.repr = compare, compare if hash is None else hash, repr
    return one


def _dataclass(*, slots: bool, frozen: bool = False, kw_only: bool = False, eq: bool = True) -> Any:
    assert slots, "a dataclass of this package has slots"
    return lambda cls: _made(cls, frozen, kw_only, eq)


def _made(cls: type, frozen: bool, kw_only: bool, eq: bool) -> type:
    """The class again with slots and methods: slots cannot be given to a class that is there."""
    body = dict(cls.__dict__)
    fields: dict[str, _Field] = {}
    for base in reversed(cls.__mro__[1:]):
        fields.update(base.__dict__.get("_value_fields", ()))
    inherited = set(fields)
    for name, annotation in cls.__annotations__.items():
        if annotation.startswith("ClassVar"):
            continue
        one = body.pop(name, _MISSING)
        if type(one) is not _Field:
            one = _field(default=one)
        one.kw_only = kw_only
        one.name, one.type = name, annotation
        fields[name] = one

    for name in ("__dict__", "__weakref__"):
        body.pop(name, None)
    body["_value_fields"] = fields
    body["__slots__"] = tuple(name for name in fields if name not in inherited)
    body["__match_args__"] = tuple(name for name, one in fields.items() if one.init and not one.kw_only)
    body["__signature__"] = _Signature()
    body["__dataclass_fields__"] = _StandardFields()
    body["__dataclass_params__"] = _StandardParameters(frozen=frozen)
    body.setdefault("__repr__", _repr)
    if eq and "__eq__" not in body:
        body["__eq__"] = _equality(tuple(name for name, one in fields.items() if one.compare))
    if eq and (body.get("__hash__") is None):
        body["__hash__"] = _hashing(tuple(name for name, one in fields.items() if one.hash)) if frozen else None
    if frozen:
        body["__setattr__"] = _refuse_assignment
        body["__delattr__"] = _refuse_deletion
        body.setdefault("__getstate__", _state)
        body.setdefault("__setstate__", _set_state)
    body.pop("__init__", None)
    made = type(cls)(cls.__name__, cls.__bases__, body)
    made.__qualname__ = cls.__qualname__
    made.__init__ = _first(made, fields, frozen)  # type: ignore[misc]
    return made


def _first(cls: Any, fields: dict[str, _Field], frozen: bool) -> Any:
    """The `__init__` of the first value: it compiles the one of all others, for most classes are imported in vain."""

    def __init__(self: Any, *arguments: Any, **keywords: Any) -> None:  # noqa: N807
        cls.__init__ = _initializer(cls, fields, frozen)
        cls.__init__(self, *arguments, **keywords)

    return __init__


def _initializer(cls: type, fields: dict[str, _Field], frozen: bool) -> Any:
    """`__init__`, compiled: it is called for every entry of a layer, and must not be slow."""
    names: dict[str, Any] = {"_missing": _MISSING}
    positional: list[str] = []
    keywords: list[str] = []
    lines: list[str] = []
    for name, one in fields.items():
        if not one.init:
            continue  # `__post_init__` sets it
        parameter, value = name, name
        if one.default is not _MISSING:
            names[f"_default_{name}"] = one.default
            parameter = f"{name}=_default_{name}"
        elif one.default_factory is not _MISSING:
            names[f"_make_{name}"] = one.default_factory
            parameter, value = f"{name}=_missing", f"_make_{name}() if {name} is _missing else {name}"
        (keywords if one.kw_only else positional).append(parameter)
        if frozen:
            names[f"_set_{name}"] = getattr(cls, name).__set__
            lines.append(f" _set_{name}(self, {value})")
        else:
            lines.append(f" self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        lines.append(" self.__post_init__()")
    parameters = ["self", *positional, *(["*", *keywords] if keywords else [])]
    exec(f"def __init__({', '.join(parameters)}):\n" + ("\n".join(lines) or " pass"), names)
    made = names["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    made.__module__ = cls.__module__
    made.__annotations__ = {**{name: one.type for name, one in fields.items()}, "return": "None"}
    return made


def _members(names: tuple[str, ...]) -> Any:
    """A function from a value to what its fields hold, to be compared or hashed."""
    return attrgetter(*names) if names else lambda value: ()


def _equality(names: tuple[str, ...]) -> Any:
    members = _members(names)

    def __eq__(self: object, other: object) -> Any:  # noqa: N807
        return members(self) == members(other) if other.__class__ is self.__class__ else NotImplemented

    return __eq__


def _hashing(names: tuple[str, ...]) -> Any:
    members = _members(names)

    def __hash__(self: object) -> int:  # noqa: N807
        return hash(members(self))

    return __hash__


def _repr(self: Any) -> str:
    shown = (f"{name}={getattr(self, name)!r}" for name, one in self._value_fields.items() if one.repr)
    return f"{self.__class__.__qualname__}({', '.join(shown)})"


def _state(self: Any) -> list[Any]:
    return [getattr(self, name) for name in self._value_fields]


def _set_state(self: Any, state: list[Any]) -> None:
    for name, value in zip(self._value_fields, state, strict=True):
        object.__setattr__(self, name, value)


def _refuse_assignment(self: object, name: str, value: object) -> None:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_deletion(self: object, name: str) -> None:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _replace(value: Any, /, **changes: Any) -> Any:
    for name, one in value._value_fields.items():
        if one.init and name not in changes:
            changes[name] = getattr(value, name)
    return value.__class__(**changes)


def _fields(value: Any) -> tuple[_Field, ...]:
    return tuple(value._value_fields.values())


def _is_dataclass(value: object) -> bool:
    return hasattr(value, "_value_fields")


def _asdict(value: Any) -> dict[str, Any]:
    return {name: _copied(getattr(value, name)) for name in value._value_fields}


def _copied(value: Any) -> Any:
    if _is_dataclass(value):
        return _asdict(value)
    if isinstance(value, list | tuple):
        copied = [_copied(item) for item in value]
        return type(value)(*copied) if hasattr(value, "_fields") else type(value)(copied)
    if isinstance(value, dict):
        return {_copied(key): _copied(item) for key, item in value.items()}
    return value


class _Signature:
    """`__signature__`: what `inspect.signature` asks a class for, which would see the `__init__` of the first value."""

    __slots__ = ()

    def __get__(self, value: object, cls: Any) -> Any:
        import inspect

        initializer = _initializer(cls, cls._value_fields, frozen=cls.__dataclass_params__.frozen)
        _, *parameters = inspect.signature(initializer).parameters.values()
        return inspect.Signature(parameters, return_annotation="None")


class _StandardFields:
    """`__dataclass_fields__`: what the functions of `dataclasses` ask a class for, made when they do."""

    __slots__ = ()

    def __get__(self, value: object, cls: Any) -> Any:
        import dataclasses

        fields: list[tuple[str, Any, Any]] = []
        for name, one in cls._value_fields.items():
            kinds = ("compare", "hash", "init", "kw_only", "repr", "default", "default_factory")
            said = {kind: getattr(one, kind) for kind in kinds if getattr(one, kind) is not _MISSING}
            described = dataclasses.field(**said)
            fields.append((name, one.type, described))
        return getattr(dataclasses.make_dataclass(cls.__name__, fields), "__dataclass_fields__")  # noqa: B009


class _StandardParameters:
    """`__dataclass_params__`, as far as `dataclasses` reads it: of the base of a dataclass."""

    __slots__ = ("frozen",)

    def __init__(self, *, frozen: bool) -> None:
        self.frozen = frozen


if TYPE_CHECKING:
    from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
else:
    dataclass, field, fields, is_dataclass = _dataclass, _field, _fields, _is_dataclass
    asdict, replace = _asdict, _replace
