"""`pyoci doctor`."""

from __future__ import annotations

import argparse
import json
import sys

from pyoci.cli.arguments import working
from pyoci.values import asdict, replace

__all__ = ["add_arguments", "run"]

_MARKS = {"good": "ok  ", "note": "note", "bad": "BAD "}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of doctor."""
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    parser.add_argument("--isolation", default="", metavar="MODE", help="judge this mode instead of the best one")


def run(arguments: argparse.Namespace) -> int:
    """Prints the findings; exit status 1 if no step can be run here."""
    from pyoci.api.doctor import doctor

    with working(arguments) as options:
        found = doctor(options=replace(options, isolation=arguments.isolation))
    if arguments.json:
        value = {
            "mode": found.mode,
            "findings": [asdict(finding) for finding in found.findings],
            "capabilities": found.capabilities.to_dict(),
        }
        sys.stdout.write(json.dumps(value, indent=2) + "\n")
    else:
        for finding in found.findings:
            sys.stdout.write(f"{_MARKS[finding.level]}  {finding.name}: {finding.message}\n")
            if finding.cause:
                sys.stdout.write(f"        because {finding.cause}\n")
            if finding.mend:
                sys.stdout.write(f"        to change that: {finding.mend}\n")
    return 1 if found.mode == "none" else 0
