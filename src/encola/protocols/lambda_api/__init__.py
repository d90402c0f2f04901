"""The part of AWS Lambda's API that is about event source mappings."""
