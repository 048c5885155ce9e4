"""Working trees of a commit: straight from the bare repository, or cloned where `.git` or submodules are wanted.

Files are 0644 or 0755, directories 0755. What would differ from one checkout to the next (times in the index, packs,
reflogs, hooks of the machine's template) is not in a kept `.git`, and without it nothing of git is in the tree.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pyoci.errors import BuildError
from pyoci.fetch.git_command import NETWORK, Git, GitFailed
from pyoci.fetch.git_repository import Repository, Resolved

__all__ = ["check_out", "has_submodules", "subdirectory_of"]

_LEFT_BY_WORK = ("FETCH_HEAD", "ORIG_HEAD", "COMMIT_EDITMSG", "gc.log", "logs")


def has_submodules(repository: Repository, commit: str) -> bool:
    """Whether the commit may have submodules."""
    return repository.git.holds("cat-file", "-e", f"{commit}:.gitmodules")


def check_out(
    repository: Repository,
    resolved: Resolved,
    directory: Path,
    git: Git,
    remote: str,
    *,
    keep_git_directory: bool,
    submodules: bool,
    shown: str,
) -> None:
    """Fills an empty directory with the files of a commit that the repository has.

    Raises:
        BuildError: git cannot write them, or a submodule cannot be fetched.
    """
    submodules = submodules and has_submodules(repository, resolved.object)
    try:
        if not keep_git_directory and not submodules:
            _plain(repository, resolved, directory)
            return
        _clone(repository, resolved, directory, git, remote)
    except GitFailed as failure:
        raise BuildError(f"failed to checkout remote {shown}: {failure.reason}") from failure
    if submodules:
        clone = git.at(directory / ".git", directory)
        try:
            clone.run("submodule", "--quiet", "update", "--init", "--recursive", "--depth=1", protocols=NETWORK)
        except GitFailed as failure:
            raise BuildError(f"failed to update submodules for {shown}: {failure.reason}") from failure
    if keep_git_directory:
        for found in _git_directories(directory):
            _settle(git, found)
    else:
        _forget_git(directory)


def _plain(repository: Repository, resolved: Resolved, directory: Path) -> None:
    index = directory.with_name(directory.name + ".index")
    try:
        bare = repository.git.at(repository.path, directory, index=index)
        bare.run("read-tree", "--reset", "-u", f"{resolved.object}^{{commit}}")
    finally:
        with suppress(FileNotFoundError):
            index.unlink()


def _clone(repository: Repository, resolved: Resolved, directory: Path, git: Git, remote: str) -> None:
    """A repository of its own with the one commit, under the name that it was asked for by."""
    form = ["--object-format=sha256"] if len(resolved.object) == 64 else []
    git.run("init", "--quiet", "--template=", *form, str(directory))
    clone = git.at(directory / ".git", directory)
    clone.run("remote", "add", "origin", remote)
    target = f":{resolved.name}" if resolved.name else ""
    source = f"+{repository.kept(resolved.object)}{target}"
    # Over the file protocol: a local clone would link to files of the bare repository.
    clone.run(
        "fetch",
        "--quiet",
        "--update-head-ok",
        "--depth=1",
        "--no-tags",
        "--",
        f"file://{repository.path}",
        source,
        protocols="file",
    )
    clone.run("checkout", "--quiet", "--detach", f"{resolved.object}^{{commit}}")


def _git_directories(directory: Path) -> Iterator[Path]:
    """The repositories of a clone: its own and those of its submodules, which are below `modules`."""
    yield directory / ".git"
    modules = directory / ".git" / "modules"
    for here, folders, files in os.walk(modules):
        if "HEAD" in files and "objects" in folders:
            yield Path(here)
            folders[:] = [name for name in folders if name == "modules"]


def _settle(git: Git, repository: Path) -> None:
    """Makes a repository what it would be in any other checkout of the commit."""
    here = git.at(repository)
    here.run("read-tree", "HEAD")  # an index without the times and inodes of this machine
    here.run("repack", "-a", "-d", "-f", "-q", "-n")
    for name in _LEFT_BY_WORK:
        found = repository / name
        if found.is_dir() and not found.is_symlink():
            shutil.rmtree(found)
        else:
            with suppress(FileNotFoundError):
                found.unlink()


def _forget_git(directory: Path) -> None:
    """Removes the repository, and the files by which submodules point into it."""
    shutil.rmtree(directory / ".git")
    for here, folders, files in os.walk(directory):
        if ".git" in files:
            (Path(here) / ".git").unlink()
        if ".git" in folders:
            folders.remove(".git")
            shutil.rmtree(Path(here) / ".git")


def subdirectory_of(directory: Path, subdirectory: str) -> Path:
    """The directory below a checkout; every component must be a directory and no link.

    Raises:
        BuildError: one is something else.
    """
    here = directory
    for part in subdirectory.split("/") if subdirectory else []:
        here = here / part
        if not here.is_dir() or here.is_symlink():
            problem = "contains non-directory" if os.path.lexists(here) else "does not have"
            raise BuildError(
                f'invalid subdir {subdirectory}: git subpath "{subdirectory}" {problem} "{here.relative_to(directory)}"'
            )
    return here
