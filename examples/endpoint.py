"""Where the examples find their server: at ``ENCOLA_ENDPOINT``, or where ``encola serve`` listens by itself."""

import os
from typing import Any

import boto3


def connect() -> Any:
    """A boto3 client. A server without credentials takes any key."""
    return boto3.client(
        "sqs",
        endpoint_url=os.environ.get("ENCOLA_ENDPOINT", "http://127.0.0.1:9324"),
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
    )
