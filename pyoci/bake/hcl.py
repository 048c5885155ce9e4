"""HCL text to blocks and expressions. The grammar is python-hcl2's; this module names what its parse tree holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

from pyoci.bake import syntax
from pyoci.bake.problems import nested
from pyoci.bake.syntax import Attribute, Block, Body, Expression, ForLoop
from pyoci.bake.templates import literal_text, split_template
from pyoci.bake.values import ValueProblem, plain_number
from pyoci.errors import BakeError
from pyoci.location import Location, SourceFile

if TYPE_CHECKING:
    from lark import Tree
    from lark.exceptions import UnexpectedInput

__all__ = ["parse_expression", "parse_hcl", "parse_template"]

_PUNCTUATION = frozenset({"LPAR", "RPAR", "LBRACE", "RBRACE", "LSQB", "RSQB", "COMMA", "DOT", "EQ", "COLON", "QMARK"})
_WHITE = "new_line_or_comment"


def parse_hcl(source: SourceFile) -> Body:
    """The blocks and attributes of an HCL file.

    Raises:
        BakeError: it is malformed; located.
    """
    with nested(source.name):
        tree = _tree(source.text, source, None)
        return _Reader(source, None).body(_trees(tree)[0])


def parse_template(text: str, source: SourceFile, location: Location) -> Expression:
    """The expression that a text with `${…}` in it stands for: a string of JSON, or a heredoc.

    Raises:
        BakeError: what is between the braces is malformed.
    """
    parts: list[str | Expression] = []
    try:
        pieces = split_template(text)
    except ValueProblem as problem:
        raise BakeError(str(problem), location=location) from problem
    for piece in pieces:
        parts.append(parse_expression(piece.text, source, location) if piece.is_expression else piece.text)
    return _template(parts, location)


def parse_expression(text: str, source: SourceFile, location: Location) -> Expression:
    """A lone expression, all of whose parts are said to be at `location`.

    Raises:
        BakeError: it is malformed.
    """
    body = _Reader(source, location).body(_trees(_tree(f"_ = (\n{text}\n)", source, location))[0])
    if len(body.attributes) != 1 or body.blocks:
        raise BakeError(f'"{text.strip()}" is no expression', location=location)
    return body.attributes[0].value


def _tree(text: str, source: SourceFile, location: Location | None) -> Tree[Any]:
    import hcl2
    from lark.exceptions import LarkError, UnexpectedInput

    try:
        return hcl2.parses_to_tree(text)
    except UnexpectedInput as error:
        raise _syntax_error(error, source, location) from error
    except LarkError as error:
        raise BakeError(f"{source.name} cannot be parsed as HCL", location=location) from error


def _syntax_error(error: UnexpectedInput, source: SourceFile, location: Location | None) -> BakeError:
    token = getattr(error, "token", None)
    word = str(token) if token is not None else str(getattr(error, "char", ""))
    if word.lstrip().startswith("'"):
        word = "'"  # what is not in double quotes reaches to the end of the file
    lines = source.text.count("\n") + 1
    at_end = token is not None and (token.type == "$END" or (not word.strip() and error.line >= lines))
    hint = None
    if at_end:
        message = "unexpected end of file"
        hint = "a brace, bracket or string is not closed"
    elif not word.strip():
        message = "unexpected end of line"
    else:
        message = f'unexpected "{word.strip()[:40]}"'
        if word.strip() == "'":
            hint = 'strings are in double quotes: "…"'
    if location is None:
        line = min(max(error.line, 1), lines) if error.line > 0 and not at_end else lines
        length = len(word.split("\n")[0]) if word.strip() else 1
        location = Location(source, line, max(error.column, 1) if not at_end else 1, length)
    return BakeError(message, hint=hint, location=location)


def _trees(node: Tree[Any]) -> list[Tree[Any]]:
    """The children that mean something: neither tokens nor white space."""
    return [child for child in node.children if hasattr(child, "children") and child.data != _WHITE]


def _words(node: Tree[Any]) -> list[str]:
    """The tokens among the children, without punctuation."""
    tokens = [child for child in node.children if not hasattr(child, "children")]
    return [str(token) for token in tokens if getattr(token, "type", "") not in _PUNCTUATION]


def _template(parts: Sequence[str | Expression], location: Location) -> Expression:
    joined: list[str | Expression] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part != "":
            joined.append(part)
    if not joined:
        return syntax.Literal("", location)
    if len(joined) == 1 and isinstance(joined[0], str):
        return syntax.Literal(joined[0], location)
    return syntax.Template(tuple(joined), location)


class _Reader:
    """Reads one parse tree."""

    def __init__(self, source: SourceFile, fixed: Location | None) -> None:
        self._source = source
        self._fixed = fixed

    def _place(self, node: Tree[Any]) -> Location:
        if self._fixed is not None:
            return self._fixed
        meta = node.meta
        if meta.empty:
            return Location(self._source, 1)
        length = meta.end_column - meta.column if meta.end_line == meta.line else 0
        return Location(self._source, meta.line, meta.column, length)

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
            case "expr_term" | "string_part" | "interpolation":
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
                return _template([self._part(one) for one in _trees(node)], place)
            case "heredoc_template" | "heredoc_template_trim":
                return self._heredoc(str(node.children[0]), place, trim=node.data.endswith("trim"))
            case _:
                raise BakeError(f"{node.data.replace('_', ' ')} is not supported here", location=place)

    def _number(self, text: str, place: Location) -> int | float:
        try:
            return plain_number(int(text) if text.isdigit() else float(text))
        except (ValueProblem, ValueError) as error:
            raise BakeError(f"{text[:40]} is no number that can be computed with", location=place) from error

    def _part(self, node: Tree[Any]) -> str | Expression:
        inner = _trees(node)
        if inner:
            if inner[0].data != "interpolation":
                raise BakeError(
                    "template directives %{…} are not supported",
                    hint="write ${condition ? one : other}, or join(…, [for …])",
                    location=self._place(node),
                )
            return self.expression(inner[0])
        text = str(node.children[0])
        if text.startswith(("$${", "%%{")):
            return text[1:]
        try:
            return literal_text(text)
        except ValueProblem as problem:
            raise BakeError(str(problem), location=self._place(node)) from problem

    def _heredoc(self, text: str, place: Location, *, trim: bool) -> Expression:
        lines = text.rstrip("\n").split("\n")[1:-1]
        lines = [line.removesuffix("\r") for line in lines]
        if trim:
            kept = [len(line) - len(line.lstrip(" \t")) for line in lines if line.strip()]
            margin = min(kept, default=0)
            lines = [line[margin:] for line in lines]
        return parse_template("".join(f"{line}\n" for line in lines), self._source, place)

    def _operation(self, node: Tree[Any]) -> Expression:
        place = self._place(node)
        inner = _trees(node)
        if node.data == "conditional":
            condition, yes, no = (self.expression(one) for one in inner)
            return syntax.Conditional(condition, yes, no, place)
        if node.data == "unary_op":
            sign = cast('Literal["-", "!"]', _words(node)[0].strip())
            return syntax.Unary(sign, self.expression(inner[0]), place)
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
