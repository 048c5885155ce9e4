"""Where pyoci differs from BuildKit on purpose: by case, with the reason. A difference that vanishes fails the test."""

from __future__ import annotations

__all__ = ["KNOWN"]

KNOWN: dict[str, str] = {
    "add-archive-whiteouts": "in a layer .wh.NAME removes NAME: BuildKit writes it all the same, pyoci refuses",
    "run-network-host-not-allowed": "the network of a RUN is the host's in any case; docker's engine allows it too",
    "stage-target-number": "BuildKit knows targets by name alone, docker's classic builder by number as well",
    "workdir-trailing-slash": "runc makes the directories that a WORKDIR with .. passes through",
    "dockerignore-everything": "of a file that its two matchers disagree about, BuildKit takes the name and no bytes",
    "named-context": "BuildKit names the layer of FROM DIRECTORY after the last step of the stage, and puts it last",
}
