"""What is in an image: its history, its files, how it differs from another one, where its bytes are.

Pure functions of configs, layer indexes and merged trees: nothing is unpacked, and a file's bytes are read only where
its contents are the question. Knows no store and no registry, and prints nothing; `api` brings the trees, `cli` shows
what is found.
"""
