"""What `pyoci bake` takes from the environment: the variables that docker buildx bake knows.

BUILDX_BAKE_FILE                        files instead of -f, with : or BUILDX_BAKE_PATH_SEPARATOR between
BUILDX_BAKE_FILE_RELATIVE_PATHS         contexts are relative to their file
BUILDX_BAKE_DISABLE_VARS_ENV_LOOKUP     variables are not looked up in the environment
BUILDX_BAKE_GIT_AUTH_TOKEN, _HEADER     secrets for the repository of a remote definition
BUILDX_BAKE_GIT_SSH                     the agent or key for it
BUILDX_BAKE_ENTITLEMENTS_FS             0 lets targets read and write outside of the working directory
BAKE_ALLOW_REMOTE_FS_ACCESS             1 lets those of remote definitions do so
"""

from __future__ import annotations

from collections.abc import Mapping

from pyoci.build.request import SecretSource, SshSource
from pyoci.errors import UsageError
from pyoci.values import dataclass, field

__all__ = ["BakeEnvironment", "bake_environment"]

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_GIT_SECRETS = {"GIT_AUTH_TOKEN": "BUILDX_BAKE_GIT_AUTH_TOKEN", "GIT_AUTH_HEADER": "BUILDX_BAKE_GIT_AUTH_HEADER"}


@dataclass(frozen=True, slots=True)
class BakeEnvironment:
    """What the environment says."""

    files: tuple[str, ...] = ()
    relative_paths: bool = False
    looks_up: bool = True
    """Whether variables may be taken from the environment."""
    git_variables: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Variables with secrets for a repository, by what the secret is called without its host."""
    ssh: tuple[SshSource, ...] = ()
    guards_files: bool = True
    """Whether paths outside of the working directory need to be allowed."""
    guards_remote_files: bool = True

    def git_secrets(self, host: str) -> tuple[SecretSource, ...]:
        """The secrets for repositories on a host."""
        return tuple(SecretSource(f"{name}.{host}", env=env) for name, env in self.git_variables.items() if host)


def bake_environment(variables: Mapping[str, str]) -> BakeEnvironment:
    """What the variables say.

    Raises:
        UsageError: one has a value that it cannot have.
    """
    separator = variables.get("BUILDX_BAKE_PATH_SEPARATOR") or ":"
    files = (name.strip() for name in variables.get("BUILDX_BAKE_FILE", "").split(separator))
    upper = {name.upper(): name for name in variables}
    keys = [name for name in variables.get("BUILDX_BAKE_GIT_SSH", "").split(",") if name]
    if len(keys) > 1:
        raise UsageError("BUILDX_BAKE_GIT_SSH names several keys", hint="name one, or an agent that holds them")
    guards = _flag("BUILDX_BAKE_ENTITLEMENTS_FS", variables, otherwise=None)
    allows_remote = _flag("BAKE_ALLOW_REMOTE_FS_ACCESS", variables, otherwise=False)
    return BakeEnvironment(
        files=tuple(name for name in files if name),
        relative_paths=bool(_flag("BUILDX_BAKE_FILE_RELATIVE_PATHS", variables, otherwise=False)),
        looks_up=variables.get("BUILDX_BAKE_DISABLE_VARS_ENV_LOOKUP", "") not in _TRUE,
        git_variables={name: upper[env] for name, env in _GIT_SECRETS.items() if env in upper},
        ssh=(SshSource("default", keys[0] if keys else ""),),
        guards_files=guards is not False,
        guards_remote_files=not allows_remote if guards is None else guards,
    )


def _flag(name: str, variables: Mapping[str, str], *, otherwise: bool | None) -> bool | None:
    text = variables.get(name, "").strip()
    if not text:
        return otherwise
    if text not in (*_TRUE, *_FALSE):
        raise UsageError(f'{name} is "{text}"', hint="write 1 or 0")
    return text in _TRUE
