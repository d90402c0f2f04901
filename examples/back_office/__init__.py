"""A small back office: without a queue, with pull workers, with pushed functions. Run ``python -m
examples.back_office``.

Its users ask for reports on the delays of flights, which cost far more to make than to ask for. See ``tasks`` for the
task (that is all there is to write), ``__main__`` for the story, ``office`` for the web application, ``flights`` for
the reports.
"""
