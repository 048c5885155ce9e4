"""A small registry: images of the store, or of an OCI layout, to every client that speaks distribution-spec 1.1.

`server.Server` runs it on a port; `application` is the HTTP side, the only modules that know the framework being
`application`, `bodies`, `blob_answer` and `server`; `repositories` says what a repository shows, `pushes` and `uploads`
take what clients send, `inventory` is the seam to where images are kept. Nothing here knows the registry client, a
Dockerfile or the process's environment: `api.serve` joins the parts.

What is called what. `HOST:PORT/NAME` at the server is the image that pyoci itself calls NAME: `app:1` and
`library/app:1` are `docker.io/library/app:1`, `gcr.io/team/app:1` is `gcr.io/team/app:1`, and a push lands there. A
name of the store that is the whole of what the client typed (`localhost:5000/app:1`, `registry.corp/app:1`) goes
before; a push moves it along. Mirrors of containerd say in the query which registry they mean (`?ns=ghcr.io`).

What a repository has is what its tags point at, what clients pushed by digest, and the blobs that they sent or mounted
since the server started. Blobs are never shown because the store happens to have them. What was deleted is not shown
any more; its bytes stay until `pyoci prune`, which waits for the server's end: a server holds the store's shared lock.

The framework is starlette on uvicorn, which the extra `serve` installs: bodies are streamed both ways with
back-pressure, both are typed and kept well, and together they bring four small pure packages. File system and hashing
work runs in threads.

Spec: opencontainers/distribution-spec v1.1.1.
"""
