"""Types that variables declare: `string`, `list(string)`, `object({ name = string })` and so on.

    type = "string" | "number" | "bool" | "any" | ("list" | "set" | "map") "(" type ")"
         | "tuple" "(" "[" type, … "]" ")" | "object" "(" "{" name "=" ( type | "optional" "(" type ")" ) … "}" ")"

Spec: HCL's typeexpr extension.
"""

from __future__ import annotations

from pyoci.bake import syntax
from pyoci.bake.syntax import Expression
from pyoci.bake.values import Value, ValueProblem, as_bool, as_number, as_set, as_text, kind
from pyoci.errors import BakeError

__all__ = ["as_type", "check_type", "shown_type"]

_SIMPLE = ("string", "number", "bool", "any")
_OF_ONE = ("list", "set", "map")


def check_type(wanted: Expression) -> None:
    """Makes sure that a type is one.

    Raises:
        BakeError: it is not; located.
    """
    match wanted:
        case syntax.Name(name=name) if name in _SIMPLE:
            return
        case syntax.Name(name=name) if name in (*_OF_ONE, "tuple", "object"):
            raise _no_type(f"{name} of what", wanted)
        case syntax.Name(name=name):
            raise _no_type(f'there is no type "{name}"', wanted)
        case syntax.Call(function=name, arguments=(of,)) if name in _OF_ONE:
            check_type(of)
        case syntax.Call(function="tuple", arguments=(syntax.ListOf(items=items),)):
            for item in items:
                check_type(item)
        case syntax.Call(function="object", arguments=(syntax.ObjectOf(items=pairs),)):
            for key, each in pairs:
                if not isinstance(key, syntax.Literal):
                    raise _no_type("an element of an object has a name", key)
                check_type(_without_optional(each))
        case syntax.Call(function=name) if name in (*_OF_ONE, "tuple", "object"):
            raise _no_type(f"this is no {name}", wanted)
        case syntax.Call(function="optional"):
            raise _no_type("only an element of an object is optional", wanted)
        case syntax.Call(function=name):
            raise _no_type(f'there is no type "{name}"', wanted)
        case _:
            raise _no_type("this is no type", wanted)


def _without_optional(each: Expression) -> Expression:
    if not isinstance(each, syntax.Call) or each.function != "optional":
        return each
    if len(each.arguments) != 1:
        raise BakeError(
            "optional takes a type and nothing else",
            hint="try(…) gives another value where there is none",
            location=each.location,
        )
    return each.arguments[0]


def _no_type(message: str, wanted: Expression) -> BakeError:
    return BakeError(
        message,
        hint="types are string, number, bool, any, list(…), set(…), map(…), tuple([…]), object({…})",
        location=wanted.location,
    )


def shown_type(wanted: Expression) -> str:
    """A checked type as `--list variables` names it."""
    match wanted:
        case syntax.Name(name="any"):
            return "any type"
        case syntax.Name(name=name):
            return name
        case syntax.Call(function=name, arguments=(of,)) if name in _OF_ONE:
            return f"{name} of {shown_type(of)}"
        case syntax.Call(function=name):
            return name
        case _:
            return ""


def as_type(value: Value, wanted: Expression) -> Value:
    """The value, converted to a checked type.

    Raises:
        ValueProblem: it cannot be converted.
    """
    if value is None:
        return None
    match wanted:
        case syntax.Name(name="string"):
            return as_text(value)
        case syntax.Name(name="number"):
            return as_number(value)
        case syntax.Name(name="bool"):
            return as_bool(value)
        case syntax.Call():
            return _collection(value, wanted)
        case _:
            return value


def _collection(value: Value, wanted: syntax.Call) -> Value:
    of = wanted.arguments[0]
    match wanted.function, value:
        case ("list" | "set") as name, list():
            items = [as_type(one, of) for one in value]
            return items if name == "list" else as_set(items)
        case "map", dict():
            return {key: as_type(one, of) for key, one in value.items()}
        case "tuple", list() if isinstance(of, syntax.ListOf):
            if len(value) != len(of.items):
                raise ValueProblem(f"a list of {len(of.items)} is needed, not of {len(value)}")
            return [as_type(one, each) for one, each in zip(value, of.items, strict=True)]
        case "object", dict() if isinstance(of, syntax.ObjectOf):
            return _object(value, of)
        case _:
            raise ValueProblem(f"a {shown_type(wanted)} is needed, not a {kind(value)}")


def _object(value: dict[str, Value], of: syntax.ObjectOf) -> Value:
    found: dict[str, Value] = {}
    for key, each in of.items:
        name = str(key.value) if isinstance(key, syntax.Literal) else ""
        inner = _without_optional(each)
        if name in value:
            found[name] = as_type(value[name], inner)
        elif inner is each:
            raise ValueProblem(f'the object has no "{name}"')
        else:
            found[name] = None
    return found
