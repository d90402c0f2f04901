"""``GET /metrics``, for Prometheus and whoever else reads its text format."""
