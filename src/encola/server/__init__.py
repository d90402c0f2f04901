"""The composition root: configuration in, a running server out."""
