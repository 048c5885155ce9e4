"""/etc/hosts and /etc/resolv.conf of a sandbox.

What docker's builder shows (moby/buildkit: executor/oci/hosts.go, executor/oci/resolvconf.go; moby:
libnetwork/resolvconf).
"""

from __future__ import annotations

from collections.abc import Sequence

from pyoci.sandbox.protocols import Network

__all__ = ["hosts_file", "resolver_file"]


def hosts_file(hostname: str, further: Sequence[tuple[str, str]] = ()) -> bytes:
    """localhost, the sandbox's own name, and further names with their addresses."""
    lines = [f"127.0.0.1\tlocalhost {hostname}".rstrip(), "::1\tlocalhost ip6-localhost ip6-loopback"]
    lines += [f"{address}\t{name}" for name, address in further]
    return ("\n".join(lines) + "\n").encode()


def resolver_file(host: bytes, network: Network) -> bytes:
    """The host's resolv.conf. Without a network its name servers are left out: a lookup then fails at once.

    A server on a loopback address stays, since a sandbox with the host's network reaches it.
    """
    if network == "host":
        return host
    return b"".join(line for line in host.splitlines(keepends=True) if line.split()[:1] != [b"nameserver"])
