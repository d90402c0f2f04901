"""Event source mappings: the server takes messages from queues and pushes them to functions, as AWS Lambda does."""
