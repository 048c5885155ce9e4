"""Blocks to targets and groups: variables are set, matrices spread, attributes evaluated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pyoci.bake import syntax
from pyoci.bake.attributes import ATTRIBUTES, decode_attribute, texts
from pyoci.bake.evaluate import Scope, evaluate
from pyoci.bake.problems import meaning, unknown
from pyoci.bake.relative import directory_of, rebased
from pyoci.bake.resolve import Definitions
from pyoci.bake.syntax import Attribute, Block, Body, Expression
from pyoci.bake.target import Group, Target, merged
from pyoci.bake.values import Value, as_text, kind
from pyoci.bake.variables import Variables
from pyoci.errors import BakeError
from pyoci.location import Location
from pyoci.regex import regex
from pyoci.values import replace

__all__ = ["define", "with_more"]

_BLOCKS = ("target", "group", "variable", "function")
_NAME = regex(r"[a-zA-Z0-9_-]+")
_LARGEST_MATRIX = 1024


def define(bodies: Sequence[Body], variables: Variables, *, relative: bool = False) -> Definitions:
    """The targets and groups of all files together, the variables taken from them too.

    `relative` lets contexts be relative to the file that they are in.

    Raises:
        BakeError: something in them does not exist or cannot be evaluated; located.
    """
    blocks: list[Block] = []
    for body in bodies:
        for attribute in body.attributes:
            variables.define_global(attribute)
        for block in body.blocks:
            match block.type:
                case "variable":
                    variables.define_variable(block)
                case "function":
                    variables.define_function(block)
                case "target" | "group":
                    blocks.append(block)
                case _:
                    otherwise = "a bake file has target, group, variable and function blocks"
                    raise unknown("unknown block", block.type, _BLOCKS, block.location, otherwise=otherwise)
    reader = _Reader(blocks, variables, relative=relative)
    variables.attribute = reader.attribute
    variables.check_all()
    return reader.read()


def with_more(first: Definitions, second: Definitions) -> Definitions:
    """Two sets of definitions as one: targets are merged, groups of one name have the targets of both."""
    groups = dict(first.groups)
    for name, group in second.groups.items():
        before = groups[name].targets if name in groups else ()
        groups[name] = replace(group, targets=tuple(dict.fromkeys((*before, *group.targets))))
    targets = dict(first.targets)
    for name, target in second.targets.items():
        targets[name] = merged(targets[name], target) if name in targets else target
    return Definitions(groups, targets)


class _Reader:
    def __init__(self, blocks: Sequence[Block], variables: Variables, *, relative: bool) -> None:
        self._blocks = blocks
        self._relative = relative
        self._scope = variables.scope
        self._under_way: list[tuple[str, str, str]] = []

    def read(self) -> Definitions:
        groups: dict[str, Group] = {}
        targets: dict[str, Target] = {}
        for block in self._blocks:
            _check_label(block)
            if block.type == "group":
                group = self._group(block)
                groups[group.name] = group
                continue
            found = list(self._targets(block))
            for target in found:
                targets[target.name] = merged(targets[target.name], target) if target.name in targets else target
            label = block.labels[0]
            if found and [target.name for target in found] != [label]:
                members = tuple(dict.fromkeys(target.name for target in found))
                groups[label] = Group(label, targets=members, location=block.location)
        return Definitions(groups, targets)

    # references between blocks

    def attribute(self, type_: str, name: str, attribute: str, location: Location) -> Value:
        """What `target.NAME.ATTRIBUTE` means: the attribute as the block says it, without what is inherited.

        Raises:
            BakeError: there is none, or it depends on itself.
        """
        mark = (type_, name, attribute)
        if mark in self._under_way:
            raise BakeError(f"{type_}.{name}.{attribute} depends on itself", location=location)
        found = [block for block in self._blocks if block.type == type_ and block.labels == (name,)]
        if not found:
            known = {block.labels[0] for block in self._blocks if block.type == type_ and block.labels}
            raise unknown(f"there is no {type_}", name, known, location, otherwise=f"no {type_} has that name")
        given = self._given(type_, name, attribute)
        if not given and attribute in (*ATTRIBUTES, "targets"):
            return None
        if not given:
            raise BakeError(f'{type_} "{name}" does not say "{attribute}"', location=location)
        self._under_way.append(mark)
        try:
            return evaluate(given[-1].value, self._scope)
        finally:
            self._under_way.pop()

    def _given(self, type_: str, name: str, attribute: str) -> list[Attribute]:
        found = [block for block in self._blocks if block.type == type_ and block.labels == (name,)]
        return [one for block in found for one in block.body.attributes if one.name == attribute]

    # blocks

    def _group(self, block: Block) -> Group:
        found: dict[str, Value] = {}
        for attribute in _attributes(block):
            if attribute.name in ("name", "matrix"):
                raise BakeError(f"{attribute.name} is not supported for groups", location=attribute.location)
            known = ("targets", "description")
            if attribute.name not in known:
                otherwise = "a group has targets and a description"
                raise unknown("unknown attribute", attribute.name, known, attribute.location, otherwise=otherwise)
            found[attribute.name] = evaluate(attribute.value, self._scope)
        if "targets" not in found:
            raise BakeError(f'group "{block.labels[0]}" has no targets', location=block.location)
        with meaning(block.location, f'group "{block.labels[0]}"'):
            about = found.get("description")
            targets = tuple(dict.fromkeys(texts(found["targets"])))
            return Group(block.labels[0], as_text(about) if about is not None else "", targets, block.location)

    def _targets(self, block: Block) -> Iterator[Target]:
        attributes = {attribute.name: attribute for attribute in _attributes(block)}
        name = attributes.pop("name", None)
        matrix = attributes.pop("matrix", None)
        if name is not None and matrix is None:
            raise BakeError("name requires matrix", location=name.location)
        if matrix is None:
            yield self._target(block, block.labels[0], attributes, self._scope)
            return
        seen: set[str] = set()
        for scope in self._matrix(matrix):
            label = block.labels[0]
            if name is not None:
                with meaning(name.location):
                    label = as_text(evaluate(name.value, scope))
                _check_name(label, name.location)
            if label in seen:
                raise BakeError(
                    f'the matrix gives two targets the name "{label}"',
                    hint='let name use every axis: name = "app-${axis}"',
                    location=name.location if name is not None else matrix.location,
                )
            seen.add(label)
            yield self._target(block, label, attributes, scope)

    def _matrix(self, attribute: Attribute) -> Iterator[Scope]:
        """A scope for each combination; the last axis turns fastest."""
        value = evaluate(attribute.value, self._scope)
        if not isinstance(value, dict):
            raise BakeError("a matrix is an object of lists", location=attribute.location)
        rows: list[dict[str, Value]] = [{}]
        for axis, choices in value.items():
            if not isinstance(choices, list):
                raise BakeError(
                    f'axis "{axis}" of the matrix is a list, not a {kind(choices)}', location=attribute.location
                )
            rows = [{**row, axis: choice} for row in rows for choice in choices]
            if len(rows) > _LARGEST_MATRIX:
                raise BakeError(f"the matrix has more than {_LARGEST_MATRIX} targets", location=attribute.location)
        for row in rows:
            yield self._scope.having(**row)

    def _target(self, block: Block, name: str, attributes: Mapping[str, Attribute], scope: Scope) -> Target:
        changes: dict[str, Any] = {}
        for attribute in attributes.values():
            if attribute.name not in ATTRIBUTES:
                known = (*ATTRIBUTES, "name", "matrix")
                otherwise = "pyoci does not know it; `pyoci bake --help` and the README say what it knows"
                raise unknown("unknown attribute", attribute.name, known, attribute.location, otherwise=otherwise)
            value = evaluate(attribute.value, scope)
            with meaning(attribute.value.location, attribute.name):
                changes[attribute.name.replace("-", "_")] = decode_attribute(attribute.name, value)
        target = replace(Target(name, location=block.location), **changes)
        if not self._relative:
            return target
        context_base = self._base_of(attributes["context"].value) if "context" in attributes else None
        return rebased(target, directory_of(block.location.source.name), context_base=context_base)

    def _base_of(self, context: Expression) -> str | None:
        """Where a context is written that is that of another target: `target.NAME.context`."""
        match context:
            case syntax.Member(of=syntax.Member(of=syntax.Name(name="target"), name=name), name="context"):
                said = self._given("target", name, "context")
                return directory_of(said[-1].location.source.name) if said else None
            case _:
                return None


def _attributes(block: Block) -> tuple[Attribute, ...]:
    for inner in block.body.blocks:
        raise BakeError(
            f"a {block.type} has no blocks in it",
            hint=f"write {inner.type} = {{ … }}",
            location=inner.location,
        )
    seen: set[str] = set()
    for attribute in block.body.attributes:
        if attribute.name in seen:
            raise BakeError(
                f'"{attribute.name}" is said twice in {block.type} "{block.labels[0]}"',
                hint="a second block of the same name overrides the first",
                location=attribute.location,
            )
        seen.add(attribute.name)
    return block.body.attributes


def _check_label(block: Block) -> None:
    if len(block.labels) != 1:
        raise BakeError(
            f"a {block.type} block has one name", hint=f'write {block.type} "NAME" {{ … }}', location=block.location
        )
    _check_name(block.labels[0], block.location)


def _check_name(name: str, location: Location) -> None:
    if _NAME.fullmatch(name) is None:
        raise BakeError(
            f'invalid name "{name}"',
            hint="a name has letters, digits, _ and - alone; sanitize(…) makes one",
            location=location,
        )
