"""The queue service at the other end is anything that speaks the SQS API: a transport over it, and its client."""
