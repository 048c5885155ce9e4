"""Functions of the standard library that make or take lists and objects. Sets are lists without equal elements."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pyoci.bake.evaluate import element as element_of
from pyoci.bake.functions_of_text import list_of, whole
from pyoci.bake.values import Value, ValueProblem, as_number, as_set, as_text, distinct, equal, has, kind

__all__ = ["COLLECTIONS"]

_Entry = tuple[Callable[..., Value], int, "int | None"]

_LONGEST_RANGE = 1024
_LONGEST_PRODUCT = 10_000


def _object(value: Value) -> dict[str, Value]:
    if not isinstance(value, dict):
        raise ValueProblem(f"an object is needed, not {'null' if value is None else f'a {kind(value)}'}")
    return value


def _flatten(value: Value) -> Value:
    found: list[Value] = []
    for item in list_of(value):
        found.extend(list_of(_flatten(item)) if isinstance(item, list) else [item])
    return found


def _coalesce(*values: Value) -> Value:
    for value in values:
        if value is not None:
            return value
    raise ValueProblem("every argument is null")


def _coalescelist(*values: Value) -> Value:
    for value in values:
        if list_of(value):
            return value
    raise ValueProblem("every list is empty")


def _element(values: Value, index: Value) -> Value:
    items = list_of(values)
    if not items:
        raise ValueProblem("an empty list has no element")
    return items[whole(index) % len(items)]


def _lookup(values: Value, key: Value, default: Value) -> Value:
    return _object(values).get(as_text(key), default)


def _length(value: Value) -> Value:
    if isinstance(value, list | dict):
        return len(value)
    raise ValueProblem(f"a {kind(value)} has no length")


def _merge(*objects: Value) -> Value:
    found: dict[str, Value] = {}
    for one in objects:
        found.update(_object(one) if one is not None else {})
    return found


def _range(*numbers: Value) -> Value:
    limits = [as_number(one) for one in numbers]
    start, end = (limits[0], limits[1]) if len(limits) > 1 else (0, limits[0])
    step = limits[2] if len(limits) > 2 else (1 if start <= end else -1)
    if step == 0 or (step > 0) != (end >= start):
        raise ValueProblem("the step does not lead from the start to the end")
    found: list[Value] = []
    number = start
    while (number < end) if step > 0 else (number > end):
        found.append(number)
        number += step
        if len(found) > _LONGEST_RANGE:
            raise ValueProblem(f"a range has at most {_LONGEST_RANGE} numbers")
    return found


def _slice(values: Value, start: Value, end: Value) -> Value:
    items, first, last = list_of(values), whole(start), whole(end)
    if not 0 <= first <= last <= len(items):
        raise ValueProblem(f"the list of {len(items)} has no slice from {first} to {last}")
    return items[first:last]


def _chunklist(values: Value, size: Value) -> Value:
    items, count = list_of(values), whole(size)
    if count < 0:
        raise ValueProblem("a chunk has at least one element")
    return [items[i : i + count] for i in range(0, len(items), count)] if count else [items]


def _hasindex(values: Value, key: Value) -> Value:
    try:
        element_of(values, key)
    except ValueProblem:
        return False
    return True


def _indexof(values: Value, wanted: Value) -> Value:
    for number, value in enumerate(list_of(values)):
        if equal(value, wanted):
            return number
    raise ValueProblem("the list does not have the value")


def _zipmap(keys: Value, values: Value) -> Value:
    names, items = list_of(keys), list_of(values)
    if len(names) != len(items):
        raise ValueProblem(f"{len(names)} keys are given for {len(items)} values")
    return {as_text(name): item for name, item in zip(names, items, strict=True)}


def _intersection(first: Value, *others: Value) -> Value:
    return as_set([v for v in list_of(first) if all(has(list_of(other), v) for other in others)])


def _only_in_one(*sets: Value) -> Value:
    found: list[Value] = []
    for one in sets:
        items = list_of(one)
        found = [v for v in found if not has(items, v)] + [v for v in items if not has(found, v)]
    return as_set(found)


def _product(*lists: Value) -> Value:
    rows: list[list[Value]] = [[]]
    for one in lists:
        items = list_of(one)
        if len(rows) * len(items) > _LONGEST_PRODUCT:
            raise ValueProblem(f"a product has at most {_LONGEST_PRODUCT} elements")
        rows = [[*row, item] for row in rows for item in items]
    return [*rows]


COLLECTIONS: Mapping[str, _Entry] = {
    "chunklist": (_chunklist, 2, 2),
    "coalesce": (_coalesce, 1, None),
    "coalescelist": (_coalescelist, 1, None),
    "compact": (lambda v: [one for one in list_of(v) if one not in ("", None)], 1, 1),
    "concat": (lambda *v: [item for one in v for item in list_of(one)], 1, None),
    "contains": (lambda v, wanted: has(list_of(v), wanted), 2, 2),
    "distinct": (lambda v: distinct(list_of(v)), 1, 1),
    "element": (_element, 2, 2),
    "flatten": (_flatten, 1, 1),
    "hasindex": (_hasindex, 2, 2),
    "index": (element_of, 2, 2),
    "indexof": (_indexof, 2, 2),
    "keys": (lambda v: [*sorted(_object(v))], 1, 1),
    "length": (_length, 1, 1),
    "lookup": (_lookup, 3, 3),
    "merge": (_merge, 1, None),
    "range": (_range, 1, 3),
    "reverselist": (lambda v: list_of(v)[::-1], 1, 1),
    "sethaselement": (lambda v, wanted: has(list_of(v), wanted), 2, 2),
    "setintersection": (_intersection, 1, None),
    "setproduct": (_product, 2, None),
    "setsubtract": (lambda a, b: as_set([v for v in list_of(a) if not has(list_of(b), v)]), 2, 2),
    "setsymmetricdifference": (_only_in_one, 1, None),
    "setunion": (lambda *v: as_set([item for one in v for item in list_of(one)]), 1, None),
    "slice": (_slice, 3, 3),
    "sort": (lambda v: [*sorted(as_text(one) for one in list_of(v))], 1, 1),
    "values": (lambda v: [_object(v)[key] for key in sorted(_object(v))], 1, 1),
    "zipmap": (_zipmap, 2, 2),
}
