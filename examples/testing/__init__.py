"""Testing code that uses SQS with the fixtures that encola brings to pytest."""
