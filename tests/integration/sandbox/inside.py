"""What a builder would do where it finds itself: probe, choose, run one step. Prints it all as JSON.

`inside.py STORAGE BASE NAME MODE`: a directory for roots, a root file system to run in, the user's name for
/etc/subuid, and the mode to use, empty for the best.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from pyoci.sandbox.capabilities import Capabilities
    from pyoci.sandbox.protocols import Mode

OPERATIONS = ("pyoci.sandbox.execute:run", "sandbox_operations:write", "sandbox_operations:listing")
SCRIPT = "id -u; touch /made; chown 33:33 /made; grep -c . /proc/self/status; echo done"


def main() -> None:
    from pyoci.errors import SandboxError
    from pyoci.sandbox.capabilities import LADDER, choose_mode
    from pyoci.sandbox.diagnosis import diagnose
    from pyoci.sandbox.probe import Host, probe

    storage, base, user = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    path = "/usr/sbin:/usr/bin:/sbin:/bin"
    found = probe(Host(os.geteuid(), os.getegid(), user, path, storage))
    mode = choose_mode(found, cast("Mode | None", sys.argv[4] or None))

    def force(forced: Mode) -> str:
        try:
            return choose_mode(found, forced)
        except SandboxError as error:
            return f"{error} ({error.hint})"

    try:
        did: object = step(found, mode, storage, base)
    except SandboxError as error:
        did = f"{error} ({error.hint})"
    result = {
        "mode": mode,
        "storage": found.storage_for(mode),
        "refused": found.refused,
        "findings": {finding.name: dataclasses.asdict(finding) for finding in diagnose(found)},
        "forced": {forced: force(forced) for forced in LADDER},
        "step": did,
    }
    sys.stdout.write(json.dumps(result))


def step(found: Capabilities, mode: Mode, storage: Path, base: Path) -> dict[str, object]:
    from pyoci.sandbox.namespace_sandbox import NamespaceSandbox
    from pyoci.sandbox.protocols import Captured, DirectoryRoot, OverlayRoot, Process, Root
    from pyoci.sandbox.worker import Worker

    kind = found.storage_for(mode)
    memory = storage / "memory"
    memory.mkdir()
    scratch = [memory] if kind == "memory" else []
    warnings: list[str] = []
    with Worker(found.privilege(mode), operations=OPERATIONS, scratch=scratch) as worker:
        root: Root
        if mode == "chroot":
            shutil.copytree(base, storage / "root", symlinks=True)
            root = DirectoryRoot(storage / "root")
        else:
            for name in ("upper", "work"):
                worker.call("sandbox_operations:write", {"path": str(memory / name), "content": None})
            root = OverlayRoot((base,), memory / "upper", memory / "work", storage / "owners")
        said: list[bytes] = []
        status = NamespaceSandbox(worker, warn=warnings.append).run(
            Process(("/bin/sh", "-c", SCRIPT), env=("PATH=/bin",)),
            root,
            (),
            network="host",
            stdio=Captured(said.append),
            cancelled=threading.Event(),
        )
        if isinstance(root, OverlayRoot):
            made = sorted(worker.call("sandbox_operations:listing", {"path": str(root.upper)}).values["entries"])
        else:
            made = [str((root.path / "made").stat().st_uid)]
    return {"status": status, "output": b"".join(said).decode(), "warnings": warnings, "made": made}


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
