"""Amazon SQS: both wire protocols, all operations, over the broker."""
