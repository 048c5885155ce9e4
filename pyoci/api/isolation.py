"""The sandbox for this machine and user."""
