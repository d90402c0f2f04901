"""pytest fixtures for testing code that uses SQS against a fresh encola server."""
