"""Text to `Dockerfile`: lines, words, instructions, variables, patterns, build checks. Pure: no files, no network.

`parse_dockerfile` cuts the text into logical lines (`lines`, `heredoc`), each of them into keyword, flags and words
(`request`, `words`), and judges each instruction (`parse_instruction` and its siblings); what comes out
(`instructions`) is what was written. `build` then asks `expand` for the values, `mounts`, `ports` and `chmod` for
their meaning, `patterns` for what a path matches. `lint` holds the build checks. Errors are `DockerfileError` and point
at the word.

Spec: the Dockerfile reference of docker/dockerfile 1.26 (moby/buildkit v0.32); where it is silent, what BuildKit does.
Deliberate differences: a flag that BuildKit reads and drops is an error (ARG, STOPSIGNAL, HEALTHCHECK NONE), an ONBUILD
trigger is judged where it is written, a line may be longer than 64 KiB, and text that is not UTF-8 keeps its bytes.
"""
