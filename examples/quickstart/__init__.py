"""Send, receive, delete."""
