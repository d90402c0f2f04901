"""The dashboard: pages that show what waits, what runs and what fails, and let an operator act on it."""
