"""The dashboard as people use it: in Debian's Chromium, without a window."""
