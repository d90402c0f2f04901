"""Metric math: expressions over time series, read and evaluated. Pure, and bounded in size, depth and work."""
