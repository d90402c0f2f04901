"""One browser for all its tests, a queue with something in it, and a page that must not complain.

Playwright's synchronous interface keeps an event loop in this thread as long as it is open: for this package only.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from ...process import ServerProcess
from ..browser.chromium import Watch, launched
from .window import WAIT_MILLISECONDS, context

ATTACK = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
HERE = Path(__file__).parent
expect.set_options(timeout=WAIT_MILLISECONDS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with launched() as one:
        yield one


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def page(browser: Browser, server: ServerProcess, watch: Watch) -> Iterator[Page]:
    """At a desk; ``page.goto("queues-new")`` opens a page below /ui."""
    with context(browser, server.url) as made:
        page = made.new_page()
        watch.page(page)
        yield page
    assert watch.problems == []


@pytest.fixture
def orders(sqs: Any, name: str) -> str:
    """The name of a queue where three messages wait; one of them tries to be a page."""
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    for body in (json.dumps({"order": 17, "lines": ["tea"]}), ATTACK, "three"):
        sqs.send_message(QueueUrl=url, MessageBody=body)
    return name


@pytest.fixture
def dead(sqs: Any, name: str) -> str:
    """The name of a dead-letter queue with three dead letters, one of them hostile; they come from ``NAME-source``."""
    _dead_letters(sqs, name)
    return name


def _dead_letters(sqs: Any, name: str) -> None:
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    rule = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    source = sqs.create_queue(QueueName=f"{name}-source", Attributes={"RedrivePolicy": rule})["QueueUrl"]
    for body in (ATTACK, '{"order": 1}', '{"order": 2}'):
        sqs.send_message(QueueUrl=source, MessageBody=body)
    for _ in range(2):
        sqs.receive_message(QueueUrl=source, MaxNumberOfMessages=10, VisibilityTimeout=0)
