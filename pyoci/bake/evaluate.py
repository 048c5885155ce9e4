"""What an expression means: its value, given variables and functions. Every error is located."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import assert_never

from pyoci.bake import syntax
from pyoci.bake.problems import meaning
from pyoci.bake.syntax import Expression
from pyoci.bake.types import as_type, check_type
from pyoci.bake.values import Value, ValueProblem, as_bool, as_number, as_text, equal, kind, plain_number, unified
from pyoci.errors import BakeError
from pyoci.location import Location
from pyoci.values import dataclass, field, replace

__all__ = ["Scope", "arithmetic", "element", "evaluate"]

_LARGEST = 4 << 20
"""Characters of a string, or elements of a list: a bake file describes builds, it does not compute."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What names mean where an expression stands."""

    variable: Callable[[str, Location], Value]
    """A global variable's value; raises BakeError if there is none."""
    attribute: Callable[[str, str, str, Location], Value]
    """An attribute of a block: type, name, attribute."""
    call: Callable[[str, Sequence[Value], Location], Value]
    """A function's result."""
    local: Mapping[str, Value] = field(default_factory=dict)
    """Names of loops, parameters and matrix axes; they come first."""

    def having(self, **names: Value) -> Scope:
        """The same with further local names."""
        return replace(self, local={**self.local, **names})


def evaluate(expression: Expression, scope: Scope) -> Value:
    """The value of an expression.

    Raises:
        BakeError: it has none; located.
    """
    with meaning(expression.location):
        value = _value(expression, scope)
        if isinstance(value, str | list) and len(value) > _LARGEST:
            raise ValueProblem(f"the result is larger than {_LARGEST}")
        return value


def _value(expression: Expression, scope: Scope) -> Value:
    match expression:
        case syntax.Literal():
            return expression.value
        case syntax.Template():
            return _template(expression, scope)
        case syntax.Name():
            if expression.name in scope.local:
                return scope.local[expression.name]
            return scope.variable(expression.name, expression.location)
        case syntax.Member():
            return _member(expression, scope)
        case syntax.Index():
            return element(evaluate(expression.of, scope), evaluate(expression.key, scope))
        case syntax.Splat():
            return _splat(expression, scope)
        case syntax.Call():
            return _call(expression, scope)
        case syntax.Unary():
            operand = evaluate(expression.operand, scope)
            return not as_bool(operand) if expression.operator == "!" else -as_number(operand)
        case syntax.Binary():
            return _binary(expression, scope)
        case syntax.Conditional():
            return _conditional(expression, scope)
        case syntax.ListOf():
            return [evaluate(item, scope) for item in expression.items]
        case syntax.ObjectOf():
            return {as_text(evaluate(key, scope)): evaluate(value, scope) for key, value in expression.items}
        case syntax.ForList():
            return [evaluate(expression.result, inner) for inner in _rounds(expression.loop, scope)]
        case syntax.ForObject():
            return _for_object(expression, scope)
        case syntax.ForText():
            return _for_text(expression, scope)
        case _:
            assert_never(expression)


def _conditional(expression: syntax.Conditional, scope: Scope) -> Value:
    """One of two values, as the type that both have: a number beside a string is a string."""
    chosen = as_bool(evaluate(expression.condition, scope))
    value = evaluate(expression.yes if chosen else expression.no, scope)
    beside = expression.no if chosen else expression.yes
    try:
        other = evaluate(beside, scope)
        found = kind(other)
    except BakeError:  # what is not chosen need not have a value, but what an operator gives has a type
        other, found = None, _kind_of_operator(beside)
    kinds = {kind(value), found} - {"null"}
    if len(kinds) > 1 and not ("string" in kinds and kinds <= {"string", "number", "bool"}):
        raise ValueProblem(f"the results of ? and : are of two types: {' and '.join(sorted(kinds))}")
    return unified(value, other)


def _kind_of_operator(expression: Expression) -> str:
    """What an operator gives; null for other expressions."""
    match expression:
        case syntax.Unary(operator="!") | syntax.Binary(operator="==" | "!=" | "<" | "<=" | ">" | ">=" | "&&" | "||"):
            return "bool"
        case syntax.Unary() | syntax.Binary():
            return "number"
        case _:
            return "null"


def _template(template: syntax.Template, scope: Scope) -> Value:
    values = [part if isinstance(part, str) else evaluate(part, scope) for part in template.parts]
    if len(values) == 1:
        return values[0]
    return "".join(as_text(value) for value in values)


def _member(member: syntax.Member, scope: Scope) -> Value:
    of = member.of
    if isinstance(of, syntax.Member) and isinstance(of.of, syntax.Name):
        block = of.of.name
        if block in ("target", "group") and block not in scope.local:
            return scope.attribute(block, of.name, member.name, member.location)
    return element(evaluate(of, scope), member.name)


def element(collection: Value, key: Value) -> Value:
    """An object's element by name, a list's by number.

    Raises:
        ValueProblem: there is no such element.
    """
    match collection:
        case dict():
            name = as_text(key)
            if name not in collection:
                known = ", ".join(sorted(collection)) or "none"
                raise ValueProblem(f'the object has no element "{name}" (it has: {known})')
            return collection[name]
        case list():
            number = as_number(key)
            if not isinstance(number, int) or not 0 <= number < len(collection):
                raise ValueProblem(f"the list has no element {as_text(key)}: it has {len(collection)}")
            return collection[number]
        case _:
            raise ValueProblem(f"a {kind(collection)} has no elements")


def _splat(splat: syntax.Splat, scope: Scope) -> Value:
    of = evaluate(splat.of, scope)
    items = of if isinstance(of, list) else [] if of is None else [of]
    found: list[Value] = []
    for item in items:
        for step in splat.steps:
            item = element(item, step if isinstance(step, str) else evaluate(step, scope))
        found.append(item)
    return found


def _call(call: syntax.Call, scope: Scope) -> Value:
    if call.function in ("try", "can"):
        return _attempt(call, scope)
    if call.function == "convert":
        if len(call.arguments) != 2:
            raise ValueProblem(f"convert: 2 arguments wanted, {len(call.arguments)} given")
        check_type(call.arguments[1])
        return as_type(evaluate(call.arguments[0], scope), call.arguments[1])
    arguments = [evaluate(argument, scope) for argument in call.arguments]
    if call.expand_last and arguments:
        last = arguments.pop()
        if not isinstance(last, list):
            raise ValueProblem(f"only a list can be given with …, not a {kind(last)}")
        arguments.extend(last)
    return scope.call(call.function, arguments, call.location)


def _attempt(call: syntax.Call, scope: Scope) -> Value:
    """`try(a, b, …)`: the first that has a value; `can(a)`: whether it has one."""
    if not call.arguments or (call.function == "can" and len(call.arguments) != 1):
        raise ValueProblem(f"{call.function} takes {'one argument' if call.function == 'can' else 'arguments'}")
    failure: BakeError | None = None
    for argument in call.arguments:
        try:
            value = evaluate(argument, scope)
        except BakeError as error:
            failure = error
            continue
        return True if call.function == "can" else value
    if call.function == "can":
        return False
    assert failure is not None
    raise ValueProblem(f"no argument of try has a value: {failure.message}")


def _binary(binary: syntax.Binary, scope: Scope) -> Value:
    left = evaluate(binary.left, scope)
    operator = binary.operator
    if operator in ("&&", "||"):
        decided = as_bool(left)
        return decided if decided == (operator == "||") else as_bool(evaluate(binary.right, scope))
    right = evaluate(binary.right, scope)
    if operator in ("==", "!="):
        return equal(left, right) == (operator == "==")
    return arithmetic(operator, as_number(left), as_number(right))


def arithmetic(operator: str, left: float, right: float) -> Value:
    """The result of an operator between two numbers.

    Raises:
        ValueProblem: it has none.
    """
    try:
        match operator:
            case "+" | "-" | "*" if isinstance(left, int) and isinstance(right, int):
                return left + right if operator == "+" else left - right if operator == "-" else left * right
            case "+" | "-" | "*":
                return _decimally(operator, left, right)
            case "/":
                exact = isinstance(left, int) and isinstance(right, int) and left % right == 0
                return plain_number(left // right if exact else left / right)
            case "%":
                return plain_number(left - right * int(left / right))
            case "<":
                return left < right
            case "<=":
                return left <= right
            case ">":
                return left > right
            case ">=":
                return left >= right
            case _:
                raise ValueProblem(f"there is no operator {operator}")
    except ZeroDivisionError:
        raise ValueProblem("division by zero") from None
    except OverflowError:
        raise ValueProblem("the numbers are too large") from None


def _decimally(operator: str, left: float, right: float) -> int | float:
    """What the decimal digits give: 0.1 + 0.2 is 0.3."""
    one, other = Decimal(repr(left)), Decimal(repr(right))
    result = one + other if operator == "+" else one - other if operator == "-" else one * other
    return plain_number(float(result))


def _rounds(loop: syntax.ForLoop, scope: Scope) -> Iterator[Scope]:
    """The scope of each round that the condition lets through; objects go by the order of their names."""
    collection = evaluate(loop.collection, scope)
    pairs: list[tuple[Value, Value]]
    match collection:
        case list():
            pairs = list(enumerate(collection))
        case dict():
            pairs = [(key, collection[key]) for key in sorted(collection)]
        case _:
            raise ValueProblem(f"a for goes over a list or an object, not a {kind(collection)}")
    for key, value in pairs:
        inner = scope.having(**({loop.key: key} if loop.key else {}), **{loop.value: value})
        if loop.condition is None or as_bool(evaluate(loop.condition, inner)):
            yield inner


def _for_text(expression: syntax.ForText, scope: Scope) -> Value:
    found, size = [], 0
    for inner in _rounds(expression.loop, scope):
        found.append(as_text(evaluate(expression.body, inner)))
        size += len(found[-1])
        if size > _LARGEST:
            raise ValueProblem(f"the result is larger than {_LARGEST}")
    return "".join(found)


def _for_object(expression: syntax.ForObject, scope: Scope) -> Value:
    found: dict[str, Value] = {}
    groups: dict[str, list[Value]] = {}
    for inner in _rounds(expression.loop, scope):
        key, value = as_text(evaluate(expression.key, inner)), evaluate(expression.value, inner)
        if expression.grouped:
            groups.setdefault(key, []).append(value)
        elif key in found:
            raise ValueProblem(f'two elements have the key "{key}" (write … behind the value to collect them)')
        else:
            found[key] = value
    return dict(groups.items()) if expression.grouped else found
