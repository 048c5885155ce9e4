"""Bake files to targets: texts in, one resolved description of each build out. No files, no network, no environment.

    documents   HCL, JSON or Compose text      hcl, json_text, compose -> syntax, or targets at once
    values      variables, functions           evaluate, functions -> values
    targets     groups, inherits, matrix       definitions, resolve -> Target

The reader of HCL is the package python-hcl2, that of YAML is PyYAML; both are imported when a file needs them. What the
expressions in them mean is decided here. Called by `api.bake`, which reads the files and builds the targets.

Spec: docker/buildx docs/bake-reference.md, docs/bake-stdlib.md; compose-spec build.md and 12-interpolation.md.
"""
