"""Messages that nobody can handle end in a dead-letter queue; a redrive brings them back."""
