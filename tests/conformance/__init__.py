"""One suite for the Store interface, run on every implementation."""
