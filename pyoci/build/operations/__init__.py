"""What each kind of step does, one module per instruction. Called by `executor.py` alone.

COPY, ADD and WORKDIR turn trees into changes and write a layer straight from the source's bytes; only RUN asks for a
root file system.
"""
