"""A tour of the ideas behind message queues, one script an idea: ``python -m examples.tour.asynchrony``, or all in
order with ``python -m examples.tour``. Each has its page in docs/concepts.
"""
