"""The build checks as data: one `Rule` for each of BuildKit's, under its name.

Names and the messages that `lint.py` makes are BuildKit's, so that `# check=skip=…` and tools that read findings work
unchanged; what a rule is for is said here in our own words.
"""

from __future__ import annotations

from pyoci.values import dataclass

__all__ = ["RULES", "Rule"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One build check."""

    name: str
    description: str
    """What the rule asks for, in one line."""
    help: str
    """How to mend a finding."""
    experimental: bool = False
    """Runs only where `# check=experimental=` asks for it."""


_ALL = (
    Rule(
        "ConsistentInstructionCasing",
        "instruction keywords are all upper case or all lower case",
        "write every keyword the way most of the file does",
    ),
    Rule(
        "CopyIgnoredFile",
        "what COPY and ADD name is in the context",
        "take the path out of .dockerignore, or out of the instruction",
    ),
    Rule(
        "DuplicateStageName",
        "a stage's name is used once",
        "rename one of the stages; a name means the last stage before its use",
    ),
    Rule(
        "ExposeInvalidFormat",
        "EXPOSE names ports of the container only",
        "leave address and host port out; they are given when a container is run",
    ),
    Rule(
        "ExposeProtoCasing",
        "protocols in EXPOSE are in lower case",
        "write tcp, udp or sctp",
    ),
    Rule(
        "FromAsCasing",
        "AS is written in the case of its FROM",
        "write FROM … AS, or from … as",
    ),
    Rule(
        "FromPlatformFlagConstDisallowed",
        "FROM --platform holds a variable",
        "use $BUILDPLATFORM or $TARGETPLATFORM, or name the stage after its platform",
    ),
    Rule(
        "InvalidBaseImagePlatform",
        "a base image is of the platform that its stage builds for",
        "ask for the platform with FROM --platform, or use an image that has it",
    ),
    Rule(
        "InvalidDefaultArgInFrom",
        "a base image's name is valid with the defaults of its arguments",
        "give the ARG a default, or write ${NAME:-default} in FROM",
    ),
    Rule(
        "InvalidDefinitionDescription",
        "a comment right above an ARG or a named FROM describes it",
        "begin the comment with the name, or leave a line free between the two",
        experimental=True,
    ),
    Rule(
        "JSONArgsRecommended",
        "CMD and ENTRYPOINT are in exec form, so that signals reach the program",
        'write ["program", "argument"], or name a shell with SHELL',
    ),
    Rule(
        "LegacyKeyValueFormat",
        "ENV and LABEL are written NAME=value",
        "put = between name and value",
    ),
    Rule(
        "MaintainerDeprecated",
        "the author is a label",
        "write LABEL org.opencontainers.image.authors=… instead of MAINTAINER",
    ),
    Rule(
        "MultipleInstructionsDisallowed",
        "CMD, ENTRYPOINT and HEALTHCHECK stand once in a stage",
        "keep the last one, which is the one that counts",
    ),
    Rule(
        "NoEmptyContinuation",
        "no blank line stands inside an instruction",
        "take the blank line out, or put a # into it",
    ),
    Rule(
        "RedundantTargetPlatform",
        "FROM --platform is not the default",
        "leave --platform=$TARGETPLATFORM out",
    ),
    Rule(
        "ReservedStageName",
        "a stage is not called context or scratch",
        "rename the stage",
    ),
    Rule(
        "SecretsUsedInArgOrEnv",
        "no secret is in an ARG or ENV, which everybody reads who has the image",
        "use RUN --mount=type=secret",
    ),
    Rule(
        "StageNameCasing",
        "stage names are in lower case",
        "write the name in lower case; it is compared so anyway",
    ),
    Rule(
        "UndefinedArgInFrom",
        "FROM uses arguments that are declared before it",
        "declare the argument with ARG before the first FROM",
    ),
    Rule(
        "UndefinedVar",
        "variables are defined before they are used",
        "set it with ENV or declare it with ARG in this stage, or mend the spelling",
    ),
    Rule(
        "WorkdirRelativePath",
        "the first WORKDIR of a stage is absolute",
        "begin the path with /",
    ),
)

RULES: dict[str, Rule] = {each.name: each for each in _ALL}
"""Every rule by its name."""
