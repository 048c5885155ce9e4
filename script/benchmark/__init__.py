"""The benchmark behind script/bench: jobs, the tools that can do them, and what each of them takes.

`workload` makes the contexts, `registry` is the one that everything is pulled from and pushed to, `tools` and `peers`
know the command lines, `jobs` knows what each job starts from and when it is done, `measure` runs one command line and
counts, `report` and `chart` show the figures, `machine` says what they were taken on, `main` is the order of it all.

Only the standard library is used, and pyoci only as a program: what is measured is what a user types.
"""
