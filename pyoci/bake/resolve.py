"""Which targets a command line means, and what each is once groups, inheritance, overrides and links are applied.

Groups come before targets of the same name; of several inherited targets the last one wins.
Spec: docker/buildx docs/bake-reference.md, docs/reference/buildx_bake.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyoci.bake.overrides import Overrides, overridden, read_overrides
from pyoci.bake.problems import name_matches, nested, unknown
from pyoci.bake.target import Entry, Group, Target, merged, normalized
from pyoci.errors import BakeError
from pyoci.location import Location
from pyoci.values import dataclass, replace

__all__ = ["Definitions", "Resolved", "resolve"]


@dataclass(frozen=True, slots=True)
class Definitions:
    """Everything that the files define, by name."""

    groups: Mapping[str, Group]
    targets: Mapping[str, Target]


@dataclass(frozen=True, slots=True)
class Resolved:
    """What is to be built."""

    groups: Mapping[str, Group]
    targets: Mapping[str, Target]
    """With those that others take as contexts, which are `linked`."""


def resolve(
    definitions: Definitions,
    names: Sequence[str],
    overrides: Sequence[str] = (),
    *,
    variables: Mapping[str, str] | None = None,
) -> Resolved:
    """The targets and groups that `names` mean (patterns are allowed), with overrides of the form `pattern.key=value`.

    `variables` gives the value of `args.NAME` where an override has none.

    Raises:
        BakeError: a name does not exist, or targets depend on themselves.
        UsageError: an override is malformed.
    """
    with nested("the definition"):
        wanted = list(dict.fromkeys(match for name in names for match in _matches(definitions, name)))
        changes = read_overrides(overrides, definitions.targets, variables or {})
        resolver = _Resolver(definitions, changes)
        for name in wanted:
            resolver.want(name)
        resolver.name_default(wanted)
        for name in list(resolver.targets):
            resolver.link(name, ())
        return Resolved(resolver.groups, resolver.targets)


def _matches(definitions: Definitions, name: str) -> list[str]:
    name = name.replace(".", "_")
    if not any(sign in name for sign in "*?["):
        return [name]
    found = [one for one in (*definitions.groups, *definitions.targets) if name_matches(name, one)]
    if not found:
        raise BakeError(f'no target matches "{name}"', hint=_there(definitions))
    return found


def _there(definitions: Definitions) -> str:
    names = sorted({*definitions.groups, *definitions.targets})
    return f"there are: {', '.join(names)}" if names else "the file defines no target"


class _Resolver:
    def __init__(self, definitions: Definitions, overrides: Overrides) -> None:
        self._definitions = definitions
        self._overrides = overrides
        self.groups: dict[str, Group] = {}
        self.targets: dict[str, Target] = {}

    def want(self, name: str) -> None:
        targets, groups = self._expanded(name, {})
        for target in dict.fromkeys(targets):
            if target not in self.targets:
                self.targets[target] = self._target(target, name)
        for group in groups:
            self.groups[group] = self._definitions.groups[group]

    def _expanded(self, name: str, seen: dict[str, tuple[list[str], list[str]]]) -> tuple[list[str], list[str]]:
        """The targets and groups that a name stands for. A group in itself adds nothing."""
        if name in seen:
            return seen[name]
        group = self._definitions.groups.get(name)
        if group is None:
            return [name], []
        seen[name] = ([], [])
        targets: list[str] = []
        groups = [name]
        for member in group.targets:
            more_targets, more_groups = self._expanded(member, seen)
            targets += more_targets
            groups += more_groups
        seen[name] = (targets, groups)
        return targets, groups

    def name_default(self, wanted: Sequence[str]) -> None:
        """What was asked for becomes the group `default`, as `--print` shows it."""
        if wanted == ["default"] and "default" in self.groups:
            self._set_default(self.groups["default"], ())
            return
        rest = [name for name in wanted if not (name == "default" and "default" in self.groups)]
        self._set_default(self.groups.get("default", Group("default")), rest)

    def _set_default(self, group: Group, more: Sequence[str]) -> None:
        self.groups["default"] = replace(group, targets=tuple(sorted({*group.targets, *more})))

    def _target(self, name: str, asked: str) -> Target:
        found = self._inherited(name, (), asked, self._definitions.groups.get(asked))
        context = (found.base or ".") if found.context is None else found.context or "."
        return replace(found, inherits=None, context=context, dockerfile=found.dockerfile or "Dockerfile")

    def _inherited(self, name: str, chain: tuple[str, ...], asked: str, group: Group | None) -> Target:
        own = self._definitions.targets.get(name)
        if own is None:
            where = self._definitions.targets[chain[-1]].location if chain else group.location if group else None
            raise self._missing(name, where)
        if name in chain:
            names = " -> ".join((*chain, name))
            raise BakeError(
                f"targets inherit from themselves: {names}",
                hint="take one of them out of inherits",
                location=own.location,
            )
        below = Target(name, location=own.location)
        for parent in own.inherits or ():
            below = merged(below, self._inherited(parent, (*chain, name), asked, None))
        found = merged(below, own)
        return normalized(overridden(found, self._overrides.get(name, {})))

    def _missing(self, name: str, where: Location | None) -> BakeError:
        known = {*self._definitions.targets, *self._definitions.groups}
        return unknown("there is no target", name, known, where, otherwise=_there(self._definitions))

    def link(self, name: str, chain: tuple[str, ...]) -> None:
        """Adds the targets whose results this one takes as contexts; they need what they need, and it needs that too.

        Raises:
            BakeError: it takes itself, over however many others.
        """
        target = self.targets[name]
        chain = (*chain, name)
        needed = list(target.entitlements or ())
        for value in (target.contexts or {}).values():
            if value is None or not value.startswith("target:"):
                continue
            other = value.removeprefix("target:")
            if other in chain:
                raise BakeError(
                    f"targets are contexts of themselves: {' -> '.join((*chain, other))}",
                    hint="take one of the contexts out",
                    location=target.location,
                )
            if other not in self.targets:
                if other not in self._definitions.targets:
                    raise self._missing(other, target.location)
                linked = self._target(other, other)
                self.targets[other] = replace(linked, output=(Entry({"type": "cacheonly"}),), linked=True)
            self.link(other, chain)
            below = self.targets[other]
            needed += [one for one in below.entitlements or () if one not in needed]
            _check_platforms(target, below)
        if needed:
            self.targets[name] = replace(target, entitlements=tuple(needed))


def _check_platforms(target: Target, below: Target) -> None:
    mine, theirs = target.platforms or (), below.platforms or ()
    if len(mine) > 1 and len(theirs) > 1 and not set(mine) <= set(theirs):
        raise BakeError(
            f"target {below.name} cannot be a context of {target.name}: it is not built for all of its platforms",
            hint=f"{target.name} has {', '.join(mine)}; {below.name} has {', '.join(theirs)}",
            location=target.location,
        )
