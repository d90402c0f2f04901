"""What the programs of the example share: a client of the queue, and the shelf where reports end up."""

import json
import os
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

QUEUE = "reports"
DEAD_LETTERS = "reports-dead"


def sqs_client() -> Any:
    """boto3 as anybody would use it: where the queue is, and with which keys, the environment says."""
    retries = {"mode": "standard", "total_max_attempts": 6}  # a server that restarts is no reason to give up
    return boto3.client("sqs", config=Config(retries=retries, connect_timeout=2, read_timeout=30))


class Shelf:
    """Finished reports by request id. Putting one there twice has no effect, which makes a consumer idempotent."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def put(self, request_id: str, report: dict[str, Any]) -> bool:
        """Answers whether it was new. Whole or not at all, whenever the process is killed."""
        place = self._directory / f"{request_id}.json"
        draft = self._directory / f".{request_id}.{os.getpid()}"
        draft.write_text(json.dumps(report))
        try:
            os.link(draft, place)
        except FileExistsError:
            return False
        finally:
            draft.unlink()
        return True

    def ids(self) -> set[str]:
        return {place.stem for place in self._directory.glob("*.json")}
