"""A FIFO queue: the messages of one customer come in order, different customers do not wait for each other."""
