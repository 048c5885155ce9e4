"""Sources of ADD that are on the network: which they are, and what fetches them.

Behaviour and messages: moby/buildkit frontend/dockerfile/dockerfile2llb, v0.34. A git repository gives its contents, a
URL one file that is unpacked only on request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyoci.build.steps import GitStep, HttpStep
from pyoci.digest import parse_digest
from pyoci.dockerfile.instructions import Add
from pyoci.dockerfile.words import Word
from pyoci.errors import DockerfileError, InvalidDocument, UsageError
from pyoci.values import dataclass

if TYPE_CHECKING:
    from pyoci.fetch.git_reference import GitReference

__all__ = ["RemoteSource", "refuse_remote", "remote_source", "shown_source"]


@dataclass(frozen=True, slots=True)
class RemoteSource:
    """A source that is fetched, and what of it is added."""

    step: HttpStep | GitStep
    path: str
    """Literally, in the tree that the step gives."""
    unpack: bool


def remote_source(instruction: Add, word: Word, epoch: int) -> RemoteSource | None:
    """What one source of ADD fetches; None if it is a path.

    Raises:
        DockerfileError: it is malformed, or the instruction's flags contradict it; located.
    """
    git = _git_reference(word)
    if git is not None:
        return RemoteSource(_git_step(instruction, git, word, epoch), "/", unpack=False)
    if _is_http(word.text):
        from pyoci.fetch.url import file_name

        name = file_name(word.text)
        checksum = None
        if instruction.checksum is not None and instruction.checksum.text:
            try:
                checksum = parse_digest(instruction.checksum.text)
            except InvalidDocument as error:
                raise DockerfileError(error.message, hint=error.hint, location=instruction.checksum.location) from error
            if not checksum.startswith("sha256:"):
                raise DockerfileError(
                    "checksum of a URL must be a sha256 digest",
                    hint="write --checksum=sha256:<64 hex>",
                    location=instruction.checksum.location,
                )
        return RemoteSource(HttpStep(word.text, checksum, name, epoch), name, unpack=instruction.unpack is True)
    if instruction.checksum is not None and instruction.checksum.text:
        raise DockerfileError(
            "checksum requires HTTP(S) or Git sources",
            hint="leave --checksum out: files of the context are the ones that you see",
            location=instruction.checksum.location,
        )
    return None


def refuse_remote(word: Word) -> None:
    """Raises DockerfileError if a source of COPY is a URL or a git repository."""
    what = "a git ref" if _git_reference(word) is not None else "a URL" if _is_http(word.text) else ""
    if what:
        raise DockerfileError(f"source can't be {what} for COPY", hint="use ADD", location=word.location)


def shown_source(text: str) -> str:
    """The source as titles and history show it: with the credentials of a URL masked."""
    if "://" not in text or "@" not in text:
        return text
    from pyoci.fetch.url import redacted

    return redacted(text)


def _is_http(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def _git_reference(word: Word) -> GitReference | None:
    """The repository that a source names; a name that may as well be a path is one."""
    text = word.text
    if ("://" not in text and "@" not in text) or (_is_http(text) and ".git" not in text and "%" not in text):
        return None
    from pyoci.fetch.git_reference import parse_git_reference

    try:
        found = parse_git_reference(text)
    except UsageError as error:
        raise DockerfileError(error.message, hint=error.hint, location=word.location) from error
    return None if found is None or found.looks_local else found


def _git_step(instruction: Add, git: GitReference, word: Word, epoch: int) -> GitStep:
    keep = instruction.keep_git_dir
    if git.keep_git_directory is not None:
        if keep is not None and keep != git.keep_git_directory:
            raise DockerfileError(
                "inconsistent keep-git-dir configuration",
                hint="say it once: in the flag or in the URL",
                location=word.location,
            )
        keep = git.keep_git_directory
    checksum = git.checksum
    flag = instruction.checksum
    if flag is not None and flag.text:
        if checksum and checksum != flag.text.lower():
            raise DockerfileError(f'checksum mismatch "{flag.text}" != "{checksum}"', location=flag.location)
        checksum = flag.text.lower()
        if not set(checksum) <= set("0123456789abcdef"):
            raise DockerfileError(
                f"invalid checksum {flag.text} for Git URL, expected hex commit hash",
                hint="give the commit, or its first digits",
                location=flag.location,
            )
    return GitStep(
        remote=git.remote,
        reference=git.reference,
        commit=checksum,
        subdirectory=git.subdirectory,
        keep_git_directory=keep is True,
        submodules=git.submodules is not False,
        fetch_by_commit=git.fetch_by_commit,
        commit_times=git.mtime == "commit",
        epoch=epoch,
    )
