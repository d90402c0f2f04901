"""Floor 0: the pure rules and values of a queue.

Nothing here does I/O, reads a clock, draws a random number or waits: time, owner and randomness come as
arguments. A rule looks at values and returns a decision or a list of :class:`~encola.engine.changes.Change`;
a store (floor 1) carries it out in one transaction.
"""
