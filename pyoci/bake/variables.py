"""Variables and functions that bake files define: evaluated when first asked for, each once, never in a circle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pyoci.bake import syntax
from pyoci.bake.evaluate import Scope, evaluate
from pyoci.bake.functions import ELSEWHERE, Function
from pyoci.bake.outside import Lookup, given_value
from pyoci.bake.problems import meaning, unknown
from pyoci.bake.syntax import Attribute, Block, Expression
from pyoci.bake.types import as_type, check_type, shown_type
from pyoci.bake.values import Value, ValueProblem, as_bool, as_text
from pyoci.errors import BakeError
from pyoci.location import Location
from pyoci.values import dataclass, field

__all__ = ["Variable", "Variables"]


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable as `--list variables` shows it."""

    name: str
    description: str
    type: str
    value: Value = field(hash=False)


class Variables:
    """The variables and functions of all files together; later definitions replace earlier ones."""

    def __init__(self, *, outside: Lookup, builtins: Mapping[str, str], functions: Mapping[str, Function]) -> None:
        """`outside` gives the value of a variable that the user set, by name; None where nothing is set."""
        self._outside = outside
        self._functions = functions
        self._blocks: dict[str, dict[str, Attribute]] = {}
        self._checks: dict[str, list[Block]] = {}
        self._places: dict[str, Location] = {}
        self._globals: dict[str, Attribute] = {}
        self._user_functions: dict[str, dict[str, Attribute]] = {}
        self._builtins = builtins
        self._values: dict[str, Value] = dict(builtins)
        self._under_way: list[str] = []
        self.attribute: Callable[[str, str, str, Location], Value] = self._no_attribute
        """What `target.NAME.ATTRIBUTE` means; set by whoever knows the targets."""

    @property
    def scope(self) -> Scope:
        """What names mean at the top of a file."""
        return Scope(self.value, lambda *words: self.attribute(*words), self.call)

    def _no_attribute(self, block: str, name: str, attribute: str, location: Location) -> Value:
        raise BakeError(f"{block}.{name}.{attribute} is not known here", location=location)

    # definitions

    def define_global(self, attribute: Attribute) -> None:
        """`NAME = value` at the top of a file."""
        self._globals[attribute.name] = attribute

    def define_variable(self, block: Block) -> None:
        """A `variable` block.

        Raises:
            BakeError: it has something else than default, type, description and validation.
        """
        name = _label(block)
        found = self._blocks.setdefault(name, {})
        self._places[name] = block.location
        for attribute in block.body.attributes:
            _known(attribute, ("default", "type", "description"), "a variable")
            found[attribute.name] = attribute
        for inner in block.body.blocks:
            if inner.type != "validation":
                raise unknown("unknown block", inner.type, ("validation",), inner.location, otherwise="it has none")
            self._checks.setdefault(name, []).append(inner)

    def define_function(self, block: Block) -> None:
        """A `function` block.

        Raises:
            BakeError: it has no parameters or no result.
        """
        name = _label(block)
        found: dict[str, Attribute] = {}
        for attribute in block.body.attributes:
            _known(attribute, ("params", "variadic_params", "result"), "a function")
            found[attribute.name] = attribute
        for needed in ("params", "result"):
            if needed not in found:
                raise BakeError(f'function "{name}" has no {needed}', location=block.location)
        self._user_functions[name] = found

    # use

    def check_all(self) -> None:
        """Evaluates every variable, so that a wrong one is told of though nobody uses it.

        Raises:
            BakeError: one cannot be evaluated, or what it is set to is not valid.
        """
        for name in (*self._globals, *self._blocks):
            self.value(name, self._place(name))

    def listed(self) -> list[Variable]:
        """Every variable by name."""
        found = []
        for name in sorted(self._blocks):
            block = self._blocks[name]
            about = evaluate(block["description"].value, self.scope) if "description" in block else ""
            declared = shown_type(block["type"].value) if "type" in block else ""
            found.append(Variable(name, as_text(about), declared, self.value(name, self._place(name))))
        return found

    def _place(self, name: str) -> Location:
        return self._places.get(name) or self._globals[name].location

    def value(self, name: str, location: Location) -> Value:
        """The value of a variable.

        Raises:
            BakeError: there is none, it depends on itself, or it is not valid.
        """
        if name in self._values:
            return self._values[name]
        if name not in self._globals and name not in self._blocks:
            known = (*self._globals, *self._blocks, *self._values)
            otherwise = f'define it: variable "{name}" {{ default = … }}'
            raise unknown("there is no variable", name, known, location, otherwise=otherwise)
        if name in self._under_way:
            names = " -> ".join((*self._under_way[self._under_way.index(name) :], name))
            raise BakeError(f"variables depend on each other: {names}", location=self._place(name))
        self._under_way.append(name)
        try:
            value = self._evaluated(name)
        finally:
            self._under_way.pop()
        self._values[name] = value
        self._validate(name)
        return value

    def _evaluated(self, name: str) -> Value:
        block = self._blocks.get(name)
        given = self._globals.get(name)
        if block is None:
            assert given is not None
            return evaluate(given.value, self.scope)
        default = given or block.get("default")
        value = evaluate(default.value, self.scope) if default is not None else None
        declared = block["type"].value if "type" in block else None
        if declared is not None:
            check_type(declared)
        with meaning(self._place(name), f'variable "{name}"'):
            if declared is not None:
                value = as_type(value, declared)
            found = given_value(name, self._lookup, value, declared)
            if found is not None:
                return found[0]
            return value if default is not None or declared is not None else ""

    def _lookup(self, name: str) -> str | None:
        """What a name is set to from outside; that of another variable, `NAME_JSON`, is not taken for JSON."""
        base = name.removesuffix("_JSON")
        if base != name and base in self._under_way and name in (*self._blocks, *self._builtins):
            return None
        return self._outside(name)

    def _validate(self, name: str) -> None:
        for block in self._checks.get(name, ()):
            found = {}
            for attribute in block.body.attributes:
                _known(attribute, ("condition", "error_message"), "a validation")
                found[attribute.name] = attribute
            if "condition" not in found:
                raise BakeError("a validation has a condition", location=block.location)
            condition = found["condition"]
            with meaning(condition.location):
                if as_bool(evaluate(condition.value, self.scope)):
                    continue
                message = f'variable "{name}" is not valid'
                if "error_message" in found:
                    message += f": {as_text(evaluate(found['error_message'].value, self.scope))}"
            raise BakeError(message, location=condition.location)

    def call(self, name: str, arguments: Sequence[Value], location: Location) -> Value:
        """The result of a function; those of the files come first.

        Raises:
            BakeError: there is none, or it has no result for the arguments.
        """
        with meaning(location, name):
            if name in self._user_functions:
                return self._user_call(name, arguments, location)
            if name in self._functions:
                return self._functions[name](arguments)
        if name in ELSEWHERE:
            raise BakeError(f'the function "{name}" is not supported', hint=ELSEWHERE[name], location=location)
        known = (*self._user_functions, *self._functions, "try", "can")
        otherwise = f'define it: function "{name}" {{ params = […] result = … }}'
        raise unknown("there is no function", name, known, location, otherwise=otherwise)

    def _user_call(self, name: str, arguments: Sequence[Value], location: Location) -> Value:
        function = self._user_functions[name]
        names = _names(function["params"].value)
        rest = function.get("variadic_params")
        if len(arguments) < len(names) or (rest is None and len(arguments) > len(names)):
            raise ValueProblem(f"{len(names)} arguments wanted, {len(arguments)} given")
        mark = f"{name}()"
        if mark in self._under_way:
            raise BakeError(f'the function "{name}" calls itself', location=location)
        local = dict(zip(names, arguments, strict=False))
        if rest is not None:
            local[_name(rest.value)] = list(arguments[len(names) :])
        self._under_way.append(mark)
        try:
            return evaluate(function["result"].value, self.scope.having(**local))
        finally:
            self._under_way.pop()


def _known(attribute: Attribute, names: Sequence[str], what: str) -> None:
    if attribute.name not in names:
        otherwise = f"{what} has {', '.join(names)}"
        raise unknown("unknown attribute", attribute.name, names, attribute.location, otherwise=otherwise)


def _label(block: Block) -> str:
    if len(block.labels) != 1:
        raise BakeError(
            f"a {block.type} block has one name", hint=f'write {block.type} "NAME" {{ … }}', location=block.location
        )
    return block.labels[0]


def _names(expression: Expression) -> list[str]:
    if not isinstance(expression, syntax.ListOf):
        raise BakeError("params is a list of names", location=expression.location)
    return [_name(item) for item in expression.items]


def _name(expression: Expression) -> str:
    if isinstance(expression, syntax.Name):
        return expression.name
    if isinstance(expression, syntax.Literal) and isinstance(expression.value, str):
        return expression.value
    raise BakeError("a parameter is a name", location=expression.location)
