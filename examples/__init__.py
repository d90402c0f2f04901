"""Examples: one folder an idea, each a program that CI runs."""
