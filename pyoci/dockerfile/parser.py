"""The whole file: lines to instructions, instructions to stages. Collects independent errors and raises them together.

Spec: the Dockerfile reference of docker/dockerfile 1.26. Takes time in proportion to the text; any text gives a
Dockerfile or located errors.
"""

from __future__ import annotations

from pyoci.dockerfile import instructions as ins
from pyoci.dockerfile.flags import FlagKind, read_flags
from pyoci.dockerfile.heredoc import Heredoc, read_heredocs
from pyoci.dockerfile.lines import LineReader, LogicalLine
from pyoci.dockerfile.parse_instruction import (
    KEYWORDS,
    description_of,
    judged,
    parse_instruction,
    trigger_request,
    unknown_instruction,
)
from pyoci.dockerfile.request import Request, read_request
from pyoci.errors import DockerfileError, PyociError, raise_collected
from pyoci.location import Location, SourceFile
from pyoci.regex import regex
from pyoci.values import replace

__all__ = ["decode_source", "parse_dockerfile", "parse_trigger"]

_HEREDOCS = frozenset({"ADD", "COPY", "RUN"})
_FROM_FLAGS: dict[str, FlagKind] = {"platform": "value"}
_STAGE_NAME = regex(r"[a-z][a-z0-9_.-]*")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def decode_source(name: str, raw: bytes) -> SourceFile:
    """The bytes of a Dockerfile as a text: without a byte order mark; what is not UTF-8 becomes surrogate escapes."""
    return SourceFile(name, raw.removeprefix(_BYTE_ORDER_MARK).decode("utf-8", "surrogateescape"))


def parse_dockerfile(source: SourceFile) -> ins.Dockerfile:
    """The Dockerfile in a text.

    Raises:
        DockerfileError: it is malformed; `others` holds the further independent faults, in the order of the text.
    """
    builder = _Builder(source)
    builder.read_all()
    raise_collected(sorted(builder.problems, key=_order))
    return builder.finish()


def parse_trigger(expression: str, location: Location | None, *, escape: str = "\\") -> ins.TriggerInstruction:
    """The instruction in an ONBUILD entry, of an image's config or of a stage of a file with this escape character.

    Raises:
        DockerfileError: it is none, or more than one; at `location`, the FROM that brought it in.
    """
    builder = _Builder(SourceFile("ONBUILD", expression), escape)
    builder.read_all(stages=False)
    problems, instructions = builder.problems, builder.instructions
    if not problems and len(instructions) == 1:
        (trigger,) = instructions
        if not isinstance(trigger, ins.Onbuild | ins.Maintainer):
            return trigger
    reason = problems[0].message if problems else "it is not one instruction"
    raise DockerfileError(
        f'the ONBUILD trigger "{expression}" of the base cannot be read: {reason}',
        hint=problems[0].hint if problems else None,
        location=location,
    )


def _order(error: PyociError) -> tuple[int, int]:
    return (error.location.line, error.location.column) if error.location else (0, 0)


class _Builder:
    """Reads instruction by instruction; a faulty one is left out and the next one is read."""

    def __init__(self, source: SourceFile, escape: str | None = None) -> None:
        self._source = source
        self.problems: list[DockerfileError] = []
        self._reader = LineReader(source, self.problems, escape)
        self._escape = self._reader.directives.escape
        self._stages: list[ins.Stage] = []
        self._meta_args: list[ins.Arg] = []
        self.instructions: list[ins.Instruction] = []
        self._empty_continuations: list[Location] = []
        self._saw_from = False
        self._complained_about_order = False

    def read_all(self, *, stages: bool = True) -> None:
        while (line := self._reader.next_line()) is not None:
            if line.has_empty_continuation:
                self._empty_continuations.append(replace(line.whole, end_line=line.last_line))
            if "\0" in line.text:
                self._complain_about_nul(line)
                return
            try:
                request = self._request(line)
                if stages and request.keyword == "FROM":
                    self._saw_from = True
                    self._close_stage()
                    self._stages.append(judged(request, self._stage))
                elif stages and not self._saw_from and request.keyword != "ARG":
                    self._refuse_before_from(request)
                else:
                    self._take(parse_instruction(request), stages=stages)
            except DockerfileError as error:
                self.problems.append(error)
        self._close_stage()
        if stages and not self._saw_from and not self.problems:
            self._complain_about_missing_from()

    def _complain_about_nul(self, line: LogicalLine) -> None:
        """No argument of a program, name or path can hold one, so nothing could be done with what is read here."""
        self._saw_from = True
        self.problems.append(
            DockerfileError(
                "a NUL character stands in this line",
                hint="an editor may have saved the file as UTF-16: save it as UTF-8",
                location=line.location(line.text.index("\0"), line.text.index("\0") + 1),
            )
        )

    def finish(self) -> ins.Dockerfile:
        directives = self._reader.directives
        return ins.Dockerfile(
            source=self._source,
            escape=directives.escape,
            syntax=directives.syntax,
            check=directives.check,
            meta_args=tuple(self._meta_args),
            stages=tuple(self._stages),
            empty_continuations=tuple(self._empty_continuations),
        )

    def _request(self, line: LogicalLine) -> Request:
        request = read_request(line, 0, len(line.text), self._escape)
        heredocs: tuple[Heredoc, ...] = ()
        if "<<" in line.text:
            inner = trigger_request(request) if request.keyword == "ONBUILD" else request
            if inner.keyword in _HEREDOCS and inner.json is None:
                heredocs = read_heredocs(line, self._reader)
        return replace(
            request,
            heredocs=heredocs,
            source_text=self._reader.typed(line.first_line),
            last_line=self._reader.last_line_read,
            problems=self.problems,
        )

    def _take(self, instruction: ins.Instruction, *, stages: bool) -> None:
        if stages and not self._saw_from:
            assert isinstance(instruction, ins.Arg)
            self._meta_args.append(instruction)
        else:
            self.instructions.append(instruction)

    def _close_stage(self) -> None:
        if self._stages and self.instructions:
            self._stages[-1] = replace(self._stages[-1], instructions=tuple(self.instructions))
            self.instructions = []

    def _stage(self, request: Request) -> ins.Stage:
        """`FROM [--platform=…] image [AS name]`."""
        flags = read_flags(request.line, "FROM", request.flags, _FROM_FLAGS, request.problems)
        words = request.blank_words()
        if not words:
            request.fail(
                "FROM needs an image", "write FROM image or FROM image AS name; FROM scratch begins with nothing"
            )
        if len(words) == 2 and words[1].text.lower() == "as":
            request.fail("AS needs a name for the stage", f"write FROM {words[0].text} AS name", words[1])
        if len(words) == 2 or (len(words) > 1 and words[1].text.lower() != "as"):
            hint = f"write FROM {words[0].text} AS {words[1].text}" if len(words) == 2 else "write FROM image AS name"
            request.fail(f'FROM takes an image and AS name, not "{words[1].text}"', hint, words[1])
        if len(words) > 3:
            hint = f"write FROM {words[0].text} AS {words[2].text}"
            request.fail(f'FROM takes nothing behind the name, but has "{words[3].text}"', hint, words[3])
        name = words[2].text.lower() if len(words) == 3 else None
        if name is not None and not _STAGE_NAME.fullmatch(name):
            hint = "a name begins with a letter, then letters, digits, - _ and ."
            if "$" in name:
                hint = "a stage's name cannot hold a variable"
            request.fail(f'"{words[2].text}" is no name for a stage', hint, words[2])
        platform = flags.word("platform")
        return ins.Stage(
            **request.written(),
            index=len(self._stages),
            name=name,
            written_name=words[2].text if len(words) == 3 else None,
            as_keyword=words[1].text if len(words) == 3 else None,
            base=words[0].text,
            base_location=request.line.location(words[0].start, words[0].end),
            platform=platform.text if platform else None,
            platform_location=platform.location if platform else None,
            description=description_of(request.line.comments, name) if name else "",
        )

    def _refuse_before_from(self, request: Request) -> None:
        """One error is enough for all that stands before the first FROM."""
        if request.keyword not in KEYWORDS:
            raise unknown_instruction(request)
        if not self._complained_about_order:
            self._complained_about_order = True
            request.fail(
                f"{request.keyword} stands before the first FROM",
                "begin with FROM image, or FROM scratch; only ARG may stand before it",
                request.typed_keyword,
            )

    def _complain_about_missing_from(self) -> None:
        text = "the Dockerfile has no FROM" if self._meta_args else "the Dockerfile is empty"
        place = Location(self._source, max(1, self._reader.line_count), 1, 1)
        hint = "begin with FROM image, or FROM scratch"
        self.problems.append(DockerfileError(text, hint=hint, location=place))
