"""Layers to a writable directory, and back to what changed in it. Used by RUN alone: nothing else ever unpacks.

`snapshotter.py` is the builder's side: it keeps unpacked layers and the upper directories of finished steps below the
store, and asks the worker of `pyoci.sandbox` for everything that needs its IDs. `operations.py` is the worker's side:
`unpack.py` puts layers on disk, `diff.py` reads an overlay's upper directory back, `compare.py` does so where there is
no overlay. Knows no Dockerfile and no cache: what a step was is none of its business.
"""
