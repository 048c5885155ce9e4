"""Types that variables declare: `string`, `list(string)`, `object({ name = string })` and so on."""

from __future__ import annotations

from pyoci.bake import syntax
from pyoci.bake.syntax import Expression
from pyoci.bake.values import Value, ValueProblem, as_bool, as_number, as_text, kind
from pyoci.errors import BakeError

__all__ = ["as_type", "type_name"]


def type_name(wanted: Expression) -> str:
    """The type as it is written.

    Raises:
        BakeError: there is no such type.
    """
    match wanted:
        case syntax.Literal() if isinstance(wanted.value, str):
            return wanted.value
        case syntax.Name():
            return wanted.name
        case syntax.Call():
            of = wanted.arguments[:1] if wanted.function == "optional" else wanted.arguments
            return f"{wanted.function}({', '.join(type_name(one) for one in of)})"
        case syntax.ObjectOf():
            parts = [
                f"{key.value if isinstance(key, syntax.Literal) else '?'}={type_name(of)}" for key, of in wanted.items
            ]
            return "{" + ",".join(parts) + "}"
        case syntax.ListOf():
            return "[" + ", ".join(type_name(one) for one in wanted.items) + "]"
        case _:
            raise BakeError(
                "this is no type",
                hint="types are string, number, bool, any, list(…), map(…), object({…})",
                location=wanted.location,
            )


def as_type(value: Value, wanted: Expression) -> Value:
    """The value, converted to a type.

    Raises:
        BakeError: there is no such type.
        ValueProblem: it cannot be converted.
    """
    if value is None:
        return None
    name = type_name(wanted)
    match name:
        case "any":
            return value
        case "string":
            return as_text(value)
        case "number":
            return as_number(value)
        case "bool":
            return as_bool(value)
        case _:
            pass
    if isinstance(wanted, syntax.Call) and wanted.arguments:
        return _collection(value, wanted.function, wanted.arguments[0], wanted)
    raise BakeError(
        f'there is no type "{name}"',
        hint="types are string, number, bool, any, list(…), map(…), object({…})",
        location=wanted.location,
    )


def _collection(value: Value, name: str, of: Expression, wanted: Expression) -> Value:
    match name, value:
        case (("list" | "set"), list()):
            items = [as_type(one, of) for one in value]
            return items if name == "list" else [one for i, one in enumerate(items) if one not in items[:i]]
        case "map", dict():
            return {key: as_type(one, of) for key, one in value.items()}
        case "optional", _:
            return as_type(value, of)
        case "tuple", list() if isinstance(of, syntax.ListOf):
            if len(value) != len(of.items):
                raise ValueProblem(f"a list of {len(of.items)} is needed, not of {len(value)}")
            return [as_type(one, each) for one, each in zip(value, of.items, strict=True)]
        case "object", dict() if isinstance(of, syntax.ObjectOf):
            return _object(value, of)
        case (("list" | "set" | "map" | "tuple" | "object"), _):
            raise ValueProblem(f"a {type_name(wanted)} is needed, not a {kind(value)}")
        case _:
            raise BakeError(
                f'there is no type "{name}"',
                hint="types are string, number, bool, any, list(…), map(…), object({…})",
                location=wanted.location,
            )


def _object(value: dict[str, Value], of: syntax.ObjectOf) -> Value:
    found: dict[str, Value] = {}
    for key, each in of.items:
        name = str(key.value) if isinstance(key, syntax.Literal) else ""
        if name in value:
            found[name] = as_type(value[name], each)
        elif isinstance(each, syntax.Call) and each.function == "optional":
            default = each.arguments[1] if len(each.arguments) > 1 else None
            found[name] = default.value if isinstance(default, syntax.Literal) else None
        else:
            raise ValueProblem(f'the object has no "{name}"')
    return found


def _no_type(name: str, wanted: Expression) -> BakeError:
    return BakeError(
        f'there is no type "{name}"' if name else "this is no type",
        hint="types are string, number, bool, any, list(…), set(…), map(…), tuple([…]), object({…})",
        location=wanted.location,
    )
