"""YAML text to values with places. The reader is PyYAML; scalars become strings, as bake wants them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, TypeAlias

from pyoci.bake.passage import Passage
from pyoci.bake.problems import nested
from pyoci.bake.values import number_text
from pyoci.errors import BakeError
from pyoci.location import Location, SourceFile
from pyoci.values import dataclass

if TYPE_CHECKING:
    import yaml

__all__ = ["Content", "Node", "parse_yaml"]

_MERGES: dict[str, Literal["reset", "override"]] = {"!reset": "reset", "!override": "override"}
_LARGEST = 100_000
"""Values that one document may have, aliases counted each time: a small text can stand for a huge one."""


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it stands."""

    value: Content
    location: Location
    merge: Literal["", "reset", "override"] = ""
    """What becomes of the same value of an earlier file: it is taken back, or replaced whole."""

    def text(self) -> str | None:
        """The value as a string; None if it is null.

        Raises:
            BakeError: it is a list or a mapping.
        """
        if self.value is None or isinstance(self.value, str):
            return self.value
        raise BakeError(f"a string is needed, not a {self.kind}", location=self.location)

    @property
    def kind(self) -> str:
        """What the value is called in messages."""
        return "list" if isinstance(self.value, list) else "mapping" if isinstance(self.value, dict) else "string"

    def items(self) -> list[Node]:
        """The elements of a list; none if it is null.

        Raises:
            BakeError: it is none.
        """
        if self.value is None:
            return []
        if not isinstance(self.value, list):
            raise BakeError(f"a list is needed, not a {self.kind}", location=self.location)
        return self.value

    def pairs(self) -> dict[str, Node]:
        """The elements of a mapping; none if it is null.

        Raises:
            BakeError: it is none.
        """
        if self.value is None:
            return {}
        if not isinstance(self.value, dict):
            raise BakeError(f"a mapping is needed, not a {self.kind}", location=self.location)
        return self.value


Content: TypeAlias = str | list[Node] | dict[str, Node] | None


def parse_yaml(source: SourceFile) -> Node:
    """The only document of a YAML text.

    Raises:
        BakeError: it is malformed; located.
    """
    import yaml

    with nested(source.name):
        try:
            loader = yaml.SafeLoader(source.text)
            root = loader.get_single_node()
            if root is None:
                return Node(None, Location(source, 1))
            return _Reader(source, loader).node(root)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = Location(source, mark.line + 1, mark.column + 1, 1) if mark else Location(source, 1)
            raise BakeError(error.problem or error.context or "malformed YAML", location=place) from error
        except yaml.reader.ReaderError as error:
            place = Passage(source).place(error.position, error.position + 1)
            raise BakeError(
                f"a YAML text has no character U+{ord(source.text[error.position]):04X}", location=place
            ) from error
        except yaml.YAMLError as error:
            raise BakeError(f"{source.name} is no YAML: {str(error).splitlines()[0]}") from error
        except (ValueError, OverflowError) as error:
            raise BakeError(f"{source.name} has a value that cannot be read: {error}") from error


class _Reader:
    def __init__(self, source: SourceFile, loader: yaml.SafeLoader) -> None:
        self._source = source
        self._loader = loader
        self._count = 0

    def _place(self, node: yaml.Node) -> Location:
        start, end = node.start_mark, node.end_mark
        length = end.column - start.column if end.line == start.line else 0
        return Location(self._source, start.line + 1, start.column + 1, length)

    def node(self, node: yaml.Node) -> Node:
        import yaml

        self._count += 1
        place = self._place(node)
        if self._count > _LARGEST:
            raise BakeError(f"the document stands for more than {_LARGEST} values", location=place)
        merge: Literal["", "reset", "override"] = _MERGES.get(node.tag, "")
        match node:
            case yaml.MappingNode():
                self._loader.flatten_mapping(node)
                return Node(dict(self._pairs(node)), place, merge)
            case yaml.SequenceNode():
                return Node([self.node(item) for item in node.value], place, merge)
            case _:
                return Node(None if merge == "reset" else self._scalar(node), place, merge)

    def _pairs(self, node: yaml.MappingNode) -> Iterator[tuple[str, Node]]:
        for key, value in node.value:
            if not isinstance(key.value, str):
                raise BakeError("a key is a string", location=self._place(key))
            yield key.value, self.node(value)

    def _scalar(self, node: yaml.Node) -> str | None:
        text = str(node.value)
        match node.tag:
            case "tag:yaml.org,2002:null":
                return None
            case "tag:yaml.org,2002:bool" if text.lower() in ("true", "false"):
                return text.lower()
            case "tag:yaml.org,2002:float" if text.strip("+-")[:1].isdigit() and ":" not in text:
                return number_text(float(text.replace("_", "")))
            case _:
                return text
