"""A client of registries: resolves names, reads and writes content, over distribution-spec 1.1.

`client.RegistryClient` is what callers make, one per command; its `repository(reference)` gives a `Repository`, which
is a ContentSource and a ContentSink. `hosts` says where a registry is and how it is trusted, `credentials` who the
user is there, `auth` turns challenges into headers, `session` is the one place that sends a request. Nothing here
knows the store, a Dockerfile or the process's environment.

This module imports nothing: `hosts` and `credentials` are cheap, whereas `client` brings the HTTP library with it, so
callers import it inside the function that needs the network.

Spec: opencontainers/distribution-spec v1.1.1.
"""
