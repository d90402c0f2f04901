"""The dashboard as people use it: a real browser, a real shop under load."""
