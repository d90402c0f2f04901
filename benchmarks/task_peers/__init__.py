"""The same three tasks for each framework: one that does nothing, one that waits 10 ms, and how each is best sent.

A module here is imported by the framework's own worker program and by ``benchmarks.tasks_producer``; its ``SENDERS``
are the ways to ask for so many tasks, each durable when it returns. Every task tells the ledger that it began.
"""
