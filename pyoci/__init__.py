"""pyoci builds container images from Dockerfiles with no daemon, no root and no helper program."""

__version__ = "0.1.0"
