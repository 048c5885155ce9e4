"""The options of `# check=`: which build checks are skipped, which experimental ones run, whether findings are fatal.

Spec: Dockerfile reference, "check" directive; the same comment right above an instruction is for that instruction.
"""

from __future__ import annotations

from pyoci.dockerfile.units import parse_boolean
from pyoci.values import dataclass

__all__ = ["NO_CHECK_OPTIONS", "CheckOptions", "parse_check_options"]


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What one `# check=` says. Rule names are as typed; unknown ones match nothing."""

    skip: frozenset[str] = frozenset()
    skip_all: bool = False
    experimental: frozenset[str] = frozenset()
    experimental_all: bool = False
    error: bool = False
    """Findings end the build."""

    def merged(self, other: CheckOptions) -> CheckOptions:
        """These options and those of one instruction; `error` belongs to the file alone."""
        return CheckOptions(
            skip=self.skip | other.skip,
            skip_all=self.skip_all or other.skip_all,
            experimental=self.experimental | other.experimental,
            experimental_all=self.experimental_all or other.experimental_all,
            error=self.error,
        )

    def wants(self, rule: str, *, experimental: bool) -> bool:
        """Whether findings of a rule are reported."""
        if experimental:
            return self.experimental_all or rule in self.experimental
        return not (self.skip_all or rule in self.skip)


NO_CHECK_OPTIONS = CheckOptions()
"""What no `# check=` says."""


def parse_check_options(text: str) -> CheckOptions:
    """The options in `skip=A,B;experimental=all;error=true`.

    Raises:
        ValueError: an option is unknown or has no value; the argument is the option as typed.
    """
    skip: frozenset[str] = frozenset()
    experimental: frozenset[str] = frozenset()
    skip_all = experimental_all = error = False
    text = text.strip()
    for option in text.split(";", 2) if text else ():
        key, equals, value = option.partition("=")
        value = value.strip()
        rules = frozenset(rule.strip() for rule in value.split(","))
        match key.strip() if equals else "":
            case "skip" if value == "all":
                skip_all = True
            case "skip":
                skip = rules
            case "experimental" if value == "all":
                experimental_all = True
            case "experimental":
                experimental = rules
            case "error":
                error = _boolean(value, option)
            case _:
                raise ValueError(option)
    return CheckOptions(skip, skip_all, experimental, experimental_all, error)


def _boolean(value: str, option: str) -> bool:
    try:
        return parse_boolean(value)
    except ValueError:
        raise ValueError(option) from None
