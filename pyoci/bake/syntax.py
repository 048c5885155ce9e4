"""What a bake file says before anything in it is evaluated: blocks, attributes and expressions, each with its place.

HCL and JSON texts become the same values, as HCL's JSON syntax defines.
"""

from __future__ import annotations

from typing import Literal as OneOf
from typing import TypeAlias

from pyoci.bake.values import Value
from pyoci.location import Location
from pyoci.values import dataclass, field

__all__ = [
    "Attribute",
    "Binary",
    "Block",
    "Body",
    "Call",
    "Conditional",
    "Expression",
    "ForList",
    "ForLoop",
    "ForObject",
    "ForText",
    "Index",
    "ListOf",
    "Literal",
    "Member",
    "Name",
    "ObjectOf",
    "Splat",
    "Template",
    "Unary",
]


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, bool, null or plain string."""

    value: Value = field(hash=False)
    location: Location = field(compare=False)


@dataclass(frozen=True, slots=True)
class Template:
    """A string with `${…}` in it; a single part is nothing but a `${…}`, and keeps that expression's type."""

    parts: tuple[str | Expression, ...]
    location: Location = field(compare=False)


@dataclass(frozen=True, slots=True)
class Name:
    """A variable."""

    name: str
    location: Location = field(compare=False)


@dataclass(frozen=True, slots=True)
class Member:
    """`of.name`."""

    of: Expression
    name: str
    location: Location = field(compare=False)


@dataclass(frozen=True, slots=True)
class Index:
    """`of[key]`."""

    of: Expression
    key: Expression
    location: Location = field(compare=False)


@dataclass(frozen=True, slots=True)
class Splat:
    """`of[*].a.b` and `of.*.a.b`: what follows, of each element."""

    of: Expression
    steps: tuple[str | Expression, ...]
    """A member's name, or the expression of an index."""
    location: Location = field(compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """`function(arguments)`."""

    function: str
    arguments: tuple[Expression, ...]
    expand_last: bool
    """Whether the last argument is a list whose elements are arguments (`...`)."""
    location: Location = field(compare=False)


@dataclass(frozen=True, slots=True)
class Unary:
    """`-x`, `!x`."""

    operator: OneOf["-", "!"]
    operand: Expression
    location: Location = field(compare=False)


@dataclass(frozen=True, slots=True)
class Binary:
    """`left operator right`."""

    operator: str
    left: Expression
    right: Expression
    location: Location = field(compare=False)


@dataclass(frozen=True, slots=True)
class Conditional:
    """`condition ? yes : no`."""

    condition: Expression
    yes: Expression
    no: Expression
    location: Location = field(compare=False)


@dataclass(frozen=True, slots=True)
class ListOf:
    """`[a, b]`."""

    items: tuple[Expression, ...]
    location: Location = field(compare=False)


@dataclass(frozen=True, slots=True)
class ObjectOf:
    """`{ key = value }`."""

    items: tuple[tuple[Expression, Expression], ...]
    location: Location = field(compare=False)


@dataclass(frozen=True, slots=True)
class ForLoop:
    """`for key, value in collection : … if condition`."""

    key: str
    """Empty if only the value has a name."""
    value: str
    collection: Expression
    condition: Expression | None


@dataclass(frozen=True, slots=True)
class ForList:
    """`[for … : result]`."""

    loop: ForLoop
    result: Expression
    location: Location = field(compare=False)


@dataclass(frozen=True, slots=True)
class ForObject:
    """`{for … : key => value}`; with `...` the values of equal keys are collected."""

    loop: ForLoop
    key: Expression
    value: Expression
    grouped: bool
    location: Location = field(compare=False)


@dataclass(frozen=True, slots=True)
class ForText:
    """`%{ for … }text%{ endfor }`: the text of every round, one behind the other."""

    loop: ForLoop
    body: Expression
    location: Location = field(compare=False)


Expression: TypeAlias = (
    Literal
    | Template
    | Name
    | Member
    | Index
    | Splat
    | Call
    | Unary
    | Binary
    | Conditional
    | ListOf
    | ObjectOf
    | ForList
    | ForObject
    | ForText
)


@dataclass(frozen=True, slots=True)
class Attribute:
    """`name = value`."""

    name: str
    value: Expression
    location: Location = field(compare=False)
    """Of the name."""


@dataclass(frozen=True, slots=True)
class Block:
    """`type "label" { … }`."""

    type: str
    labels: tuple[str, ...]
    body: Body
    location: Location = field(compare=False)
    """Of the first label, else of the type."""


@dataclass(frozen=True, slots=True)
class Body:
    """The contents of a file or block, in order."""

    attributes: tuple[Attribute, ...] = ()
    blocks: tuple[Block, ...] = ()
