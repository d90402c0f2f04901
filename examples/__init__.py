"""Examples: one folder an idea, each a program that CI runs; and a tour of all ideas."""
