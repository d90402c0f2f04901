"""What the conformance suite cannot see of one store."""
