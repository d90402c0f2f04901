"""A small back office, first without a queue and then with one. Run it with ``python -m examples.back_office``.

Its users ask for reports on the delays of flights, which cost far more to make than to ask for. See ``__main__`` for
the story, ``office`` for the web application, ``consumer`` for who makes the reports, ``flights`` for the reports.
"""
