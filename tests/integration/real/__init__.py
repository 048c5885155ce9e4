"""Real programs that tests start and stop, each with a directory and a port of its own."""
