"""Files from the network: HTTP downloads and git repositories, for ADD and for remote contexts.

`git_reference` reads what the user wrote, `http` downloads, `git` checks out, `archive` shows a tar as a tree of files.
Nothing is downloaded or checked out twice: the store keeps what came, under its digest or commit. How a request is sent
(TLS, proxies), where secrets come from and where bytes are kept is passed in (`protocols`); no HTTP library is imported
here.
"""
