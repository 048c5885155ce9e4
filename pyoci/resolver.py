"""Which image a name means now."""
