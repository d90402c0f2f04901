"""Encola: a durable message server and the consumers that work its queues."""

__version__ = "0.1.0"
