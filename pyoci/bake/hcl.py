"""HCL text to blocks and expressions. The grammar is python-hcl2's; this module names what its parse tree holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

from pyoci.bake import syntax
from pyoci.bake.passage import Passage
from pyoci.bake.problems import nested
from pyoci.bake.skeleton import RawTemplate, Skeleton, make_skeleton
from pyoci.bake.syntax import Attribute, Block, Body, Expression, ForLoop
from pyoci.bake.templates import parse_template
from pyoci.bake.values import ValueProblem, plain_number
from pyoci.errors import BakeError
from pyoci.location import Location, SourceFile

if TYPE_CHECKING:
    from lark import Tree
    from lark.exceptions import UnexpectedInput

__all__ = ["parse_expression", "parse_hcl", "parse_string"]

_PUNCTUATION = frozenset({"LPAR", "RPAR", "LBRACE", "RBRACE", "LSQB", "RSQB", "COMMA", "DOT", "EQ", "COLON", "QMARK"})
_WHITE = "new_line_or_comment"
_BEFORE = "_ = ("
"""What makes an attribute, which the grammar begins with, of a lone expression."""


def parse_hcl(source: SourceFile) -> Body:
    """The blocks and attributes of an HCL file.

    Raises:
        BakeError: it is malformed; located.
    """
    with nested(source.name):
        passage = Passage(source)
        skeleton = make_skeleton(passage, 0, len(source.text), is_expression=False)
        tree = _tree(skeleton.text, passage, 0)
        return _Reader(passage, skeleton, 0).body(_trees(tree)[0])


def parse_string(text: str, source: SourceFile, location: Location) -> Expression:
    """The expression that a string of another language stands for: templates in it are HCL's.

    Raises:
        BakeError: a sequence in it is malformed.
    """
    passage = Passage(source, text, location)
    template = RawTemplate("bare", 0, len(text))
    return parse_template(passage, template, lambda start, end: _expression(passage, start, end), location)


def parse_expression(text: str, source: SourceFile, location: Location) -> Expression:
    """A lone expression that stands at `location` in other words.

    Raises:
        BakeError: it is malformed.
    """
    return _expression(Passage(source, text, location), 0, len(text))


def _expression(passage: Passage, start: int, end: int) -> Expression:
    """The expression between two places of a passage."""
    if not passage.text[start:end].strip():
        raise BakeError("an expression is missing", location=passage.place(start, end))
    skeleton = make_skeleton(passage, start, end, is_expression=True)
    shift = start - len(_BEFORE)
    tree = _tree(f"{_BEFORE}{skeleton.text})", passage, shift, end=end)
    body = _Reader(passage, skeleton, shift).body(_trees(tree)[0])
    return body.attributes[0].value


def _tree(text: str, passage: Passage, shift: int, *, end: int | None = None) -> Tree[Any]:
    """The parse tree of a skeleton; `shift` takes its places to those of the passage, `end` is where it ends there."""
    import hcl2
    from lark.exceptions import LarkError, UnexpectedInput

    try:
        return hcl2.parses_to_tree(text)
    except UnexpectedInput as error:
        raise _syntax_error(error, passage, shift, end) from error
    except LarkError as error:
        raise BakeError(f"{passage.source.name} cannot be parsed as HCL", location=passage.place(0, 0)) from error


def _syntax_error(error: UnexpectedInput, passage: Passage, shift: int, end: int | None) -> BakeError:
    token = getattr(error, "token", None)
    last = len(passage.text) if end is None else end
    start = cast("int", error.pos_in_stream) + shift
    if token is not None and token.type == "$END":
        start = last
    word = passage.text[start : min(start + len(token or "."), last)]
    if start >= last or (not word.strip() and not passage.text[start:last].strip()):
        if end is not None:
            return BakeError("the expression ends too early", location=passage.place(last, last))
        place = Location(passage.source, passage.text.count("\n") + 1, 1, 1)
        return BakeError("unexpected end of file", hint="a brace or bracket is not closed", location=place)
    if not word.strip():
        return BakeError("unexpected end of line", location=passage.place(start, start))
    start += len(word) - len(word.lstrip())
    word = "'" if word.lstrip().startswith("'") else word.strip().split("\n")[0]
    hint = 'strings are in double quotes: "…"' if word == "'" else None
    return BakeError(f'unexpected "{word[:40]}"', hint=hint, location=passage.place(start, start + len(word)))


def _trees(node: Tree[Any]) -> list[Tree[Any]]:
    """The children that mean something: neither tokens nor white space."""
    return [child for child in node.children if hasattr(child, "children") and child.data != _WHITE]


def _words(node: Tree[Any]) -> list[str]:
    """The tokens among the children, without punctuation."""
    tokens = [child for child in node.children if not hasattr(child, "children")]
    return [str(token) for token in tokens if getattr(token, "type", "") not in _PUNCTUATION]


class _Reader:
    """Reads one parse tree."""

    def __init__(self, passage: Passage, skeleton: Skeleton, shift: int) -> None:
        self._passage = passage
        self._templates = skeleton.templates
        self._operators = skeleton.operators
        self._shift = shift

    def _place(self, node: Tree[Any]) -> Location:
        meta = node.meta
        if meta.empty:
            return self._passage.place(0, 0)
        return self._passage.place(meta.start_pos + self._shift, meta.end_pos + self._shift)

    def body(self, node: Tree[Any]) -> Body:
        attributes: list[Attribute] = []
        blocks: list[Block] = []
        for child in _trees(node):
            if child.data == "attribute":
                name, value = _trees(child)
                attributes.append(Attribute(_words(name)[0], self.expression(value), self._place(name)))
            else:
                blocks.append(self._block(child))
        return Body(tuple(attributes), tuple(blocks))

    def _block(self, node: Tree[Any]) -> Block:
        kind, *labels, body = _trees(node)
        place = self._place(labels[0] if labels else kind)
        return Block(_words(kind)[0], tuple(self._label(one) for one in labels), self.body(body), place)

    def _label(self, node: Tree[Any]) -> str:
        if node.data != "string":
            return _words(node)[0]
        value = self.expression(node)
        if not isinstance(value, syntax.Literal) or not isinstance(value.value, str):
            raise BakeError("a name in front of { cannot have ${…} in it", location=self._place(node))
        return value.value

    def expression(self, node: Tree[Any]) -> Expression:
        """One expression.

        Raises:
            BakeError: it is of a kind that bake files do not have.
        """
        match node.data:
            case "expr_term":
                return self.expression(_trees(node)[0])
            case "binary_op" | "unary_op" | "conditional":
                return self._operation(node)
            case "tuple":
                return syntax.ListOf(tuple(self.expression(one) for one in _trees(node)), self._place(node))
            case "object":
                return syntax.ObjectOf(tuple(self._element(one) for one in _trees(node)), self._place(node))
            case "for_tuple_expr" | "for_object_expr":
                return self._for(node)
            case "function_call":
                return self._call(node)
            case "index_expr_term" | "get_attr_expr_term" | "attr_splat_expr_term" | "full_splat_expr_term":
                return self._access(node)
            case _:
                return self._leaf(node)

    def _leaf(self, node: Tree[Any]) -> Expression:
        place = self._place(node)
        match node.data:
            case "identifier" | "keyword":
                return syntax.Name(_words(node)[0], place)
            case "literal_value":
                word = _words(node)[0]
                return syntax.Literal({"true": True, "false": False}.get(word), place)
            case "int_lit" | "float_lit":
                return syntax.Literal(self._number(_words(node)[0], place), place)
            case "string":
                template = self._templates[node.meta.start_pos + self._shift]
                return parse_template(
                    self._passage, template, lambda start, end: _expression(self._passage, start, end), place
                )
            case _:
                raise BakeError(f"{node.data.replace('_', ' ')} is not supported here", location=place)

    def _number(self, text: str, place: Location) -> int | float:
        try:
            return plain_number(int(text) if text.isdigit() else float(text))
        except (ValueProblem, ValueError) as error:
            raise BakeError(f"{text[:40]} is no number that can be computed with", location=place) from error

    def _operation(self, node: Tree[Any]) -> Expression:
        place = self._place(node)
        inner = _trees(node)
        if node.data == "conditional":
            condition, yes, no = (self.expression(one) for one in inner)
            return syntax.Conditional(condition, yes, no, place)
        if node.data == "unary_op":
            signs = self._operators.get(node.meta.start_pos + self._shift, "") + _words(node)[0].strip()
            operand = self.expression(inner[0])
            for sign in reversed(signs):
                operand = syntax.Unary(cast('Literal["-", "!"]', sign), operand, place)
            return operand
        operator, right = _trees(inner[1])
        return syntax.Binary(_words(operator)[0].strip(), self.expression(inner[0]), self.expression(right), place)

    def _element(self, node: Tree[Any]) -> tuple[Expression, Expression]:
        key_node, value = _trees(node)
        key = self.expression(_trees(key_node)[0])
        in_parentheses = any(str(one) == "(" for one in _trees(key_node)[0].children)
        if isinstance(key, syntax.Name) and not in_parentheses:
            key = syntax.Literal(key.name, key.location)
        elif isinstance(key, syntax.Literal) and not isinstance(key.value, str) and not in_parentheses:
            key = syntax.Literal("null" if key.value is None else str(key.value).lower(), key.location)
        return key, self.expression(value)

    def _for(self, node: Tree[Any]) -> Expression:
        intro, *rest = _trees(node)
        *names, collection = _trees(intro)
        condition = rest.pop() if rest[-1].data == "for_cond" else None
        key = _words(names[0])[0] if len(names) == 2 else ""
        test = self.expression(_trees(condition)[0]) if condition is not None else None
        loop = ForLoop(key, _words(names[-1])[0], self.expression(collection), test)
        if node.data == "for_tuple_expr":
            return syntax.ForList(loop, self.expression(rest[0]), self._place(node))
        grouped = "..." in _words(node)
        return syntax.ForObject(loop, self.expression(rest[0]), self.expression(rest[1]), grouped, self._place(node))

    def _call(self, node: Tree[Any]) -> Expression:
        names = [_words(one)[0] for one in _trees(node) if one.data == "identifier"]
        given = [one for one in _trees(node) if one.data == "arguments"]
        arguments = tuple(self.expression(one) for one in _trees(given[0])) if given else ()
        expand_last = bool(given) and "..." in _words(given[0])
        return syntax.Call("::".join(names), arguments, expand_last, self._place(node))

    def _access(self, node: Tree[Any]) -> Expression:
        of_node, step = _trees(node)
        of, place = self.expression(of_node), self._place(node)
        if step.data in ("attr_splat", "full_splat"):
            return syntax.Splat(of, tuple(self._step(one) for one in _trees(step)), place)
        found = self._step(step)
        return syntax.Member(of, found, place) if isinstance(found, str) else syntax.Index(of, found, place)

    def _step(self, node: Tree[Any]) -> str | Expression:
        if node.data == "get_attr":
            return _words(_trees(node)[0])[0]
        if node.data == "short_index":
            place = self._place(node)
            return syntax.Literal(self._number(_words(node)[0], place), place)
        return self.expression(_trees(node)[0])
