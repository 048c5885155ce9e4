"""Dockerfile to plan to layers to image: the only place that knows the order."""
