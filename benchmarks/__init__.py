"""Benchmarks: each number beside the ceiling or a peer that was measured in the same run (``make bench``)."""
