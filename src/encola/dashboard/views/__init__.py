"""The pages, one file each: what it shows (``page``) and what can be done there (``act`` and others)."""
