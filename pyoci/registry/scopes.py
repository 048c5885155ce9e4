"""What a token is asked to allow. Spec: distribution's token scope documentation: `repository:NAME:ACTION,ACTION`."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["merge_scopes", "repository_scope", "split_scopes"]

_ACTIONS = ("pull", "push", "delete")


def repository_scope(repository: str, *actions: str) -> str:
    """The scope of some actions on a repository."""
    return f"repository:{repository}:{','.join(actions)}"


def split_scopes(text: str) -> tuple[str, ...]:
    """The scopes in a challenge's `scope` parameter."""
    return tuple(text.split())


def merge_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    """The same scopes, sorted, with one entry per resource: `…:pull` and `…:pull,push` become `…:pull,push`."""
    actions: dict[str, list[str]] = {}
    for scope in scopes:
        resource, colon, wanted = scope.rpartition(":")
        if not colon:
            resource, wanted = scope, ""
        known = actions.setdefault(resource, [])
        known.extend(action for action in wanted.split(",") if action and action not in known)
    return tuple(
        f"{resource}:{','.join(sorted(wanted, key=_rank))}" if wanted else resource
        for resource, wanted in sorted(actions.items())
    )


def _rank(action: str) -> tuple[int, str]:
    return (_ACTIONS.index(action) if action in _ACTIONS else len(_ACTIONS), action)
