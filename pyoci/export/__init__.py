"""Images and root file systems as files: docker archives, OCI archives and layouts, directories and tars.

Plain functions that take content from a `ContentSource` or a `Tree` and write it to a stream or a directory. Equal
inputs give equal bytes: the entries of an archive are sorted, belong to nobody (uid and gid 0, mode 0644 or 0755) and
have no time. A stream becomes a file under its final name through whoever opened it; reading archives is
`pyoci.content.archive`'s.

Spec: image-spec image-layout.md and annotations.md; moby's docker-image-spec v1.2 for manifest.json.
"""
