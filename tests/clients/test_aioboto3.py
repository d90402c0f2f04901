"""aioboto3 (on aiobotocore and aiohttp) against a real server, with many calls at once on one client."""

import asyncio
from collections import Counter
from collections.abc import Callable

import aioboto3
import pytest

from ..process import KEY, SECRET, ServerProcess

pytestmark = pytest.mark.clients


async def test_producers_and_consumers_on_one_client_lose_nothing(
    server: ServerProcess, new_name: Callable[..., str]
) -> None:
    session = aioboto3.Session(aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name="us-east-1")
    messages, consumers = 200, 4
    seen: Counter[str] = Counter()
    async with session.client("sqs", endpoint_url=server.url) as sqs:
        url = (await sqs.create_queue(QueueName=new_name()))["QueueUrl"]

        async def consume() -> None:
            while seen.total() < messages:
                answer = await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
                got = answer.get("Messages", [])
                seen.update(message["Body"] for message in got)
                for message in got:
                    await sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for _ in range(consumers):
                group.create_task(consume())
            for n in range(messages):
                group.create_task(sqs.send_message(QueueUrl=url, MessageBody=str(n)))
    assert seen == Counter(str(n) for n in range(messages))


async def test_the_resource_api_and_its_errors(server: ServerProcess, new_name: Callable[..., str]) -> None:
    session = aioboto3.Session(aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name="us-east-1")
    async with session.resource("sqs", endpoint_url=server.url) as sqs:
        queue = await sqs.create_queue(QueueName=new_name())
        await queue.send_message(MessageBody="hello")
        (message,) = await queue.receive_messages(WaitTimeSeconds=1)
        assert await message.body == "hello"
        await message.delete()
        with pytest.raises(sqs.meta.client.exceptions.QueueDoesNotExist):
            await sqs.get_queue_by_name(QueueName=new_name())
