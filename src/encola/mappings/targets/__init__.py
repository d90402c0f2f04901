"""Where functions run: an HTTP URL, AWS Lambda, or processes of this machine."""
