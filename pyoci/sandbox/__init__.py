"""Runs one process in one root file system, isolated as far as the machine allows; knows no image and no Dockerfile.

Who does what. The builder is unprivileged and threaded; it holds a `Worker` (worker.py), which starts one
single-threaded worker process (zygote.py) when the first request comes and never before. That process enters the user
and mount namespace of its mode once (namespaces.py) and forks a child for every request, so that requests run side by
side. The child of a run is the monitor (execute.py): it stays outside, forks PID 1 (container.py) into a new PID
namespace, keeps the time, hears cancellations, carries bytes for socket mounts, cleans up, and answers system calls
that the kernel would refuse (recorder.py): it keeps owners (owner_records.py), shows them (status_emulation.py), and
lets processes be other users (emulation.py, identity.py). PID 1 builds the root (rootfs.py, system_mounts.py,
mounts.py), enters it, forks the command (launch.py), reaps orphans, and ends with its status. Each dies with the one
before it, so nothing outlives the builder, however that ends.

How a request travels. `Worker.begin` makes a socket pair and sends one end to the worker with eight bytes: which
operation, which call. The worker forks; the child reads the request itself (wire.py: marshalled plain values,
descriptors beside them; messages.py: their shapes), calls the function behind the operation's name (one of an
allow-list given at the start, as `pyoci.sandbox.execute:run`), and writes the reply or a failure to the same socket. A
failure crosses as words (failure.py) and is raised in the builder as an error of `errors.py`. Killing a call kills its
child. Other packages have operations of their own run in the worker (unpacking, reading changes back, removing), with
its IDs and its view of mounts.

What runs in the worker imports built-in modules, ctypes and each other only: the start of an interpreter is most of the
cost of a first step. Those modules say so ("Part of the worker") and name types under a false TYPE_CHECKING.

What it does not do: it makes no layer, unpacks nothing, resolves no user name, reads no environment of the builder.
"""
