"""Servers that stand for functions, and queues with pollers, in the event loop of the test."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from encola.broker.broker import Broker
from encola.stores.memory import MemoryStore

from ..broker.conftest import TestClock
from .house import House

Build = Callable[..., Awaitable[House]]
Serve = Callable[[Callable[[web.Request], Awaitable[web.StreamResponse]]], Awaitable[str]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serves a handler for all paths and methods on a free port; answers the URL."""
    servers: list[TestServer] = []

    async def start(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> str:
        app = web.Application(client_max_size=20_000_000)
        app.router.add_route("*", "/{path:.*}", handler)
        server = TestServer(app, host="127.0.0.1")
        await server.start_server()
        servers.append(server)
        return str(server.make_url("")).rstrip("/")

    yield start
    for server in servers:
        await server.close()


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
async def broker(clock: TestClock) -> AsyncIterator[Broker]:
    store = MemoryStore()
    await store.open()
    broker = Broker(store, clock)
    await broker.open()
    yield broker
    await broker.close()
    await store.close()


@pytest.fixture
async def build(broker: Broker) -> AsyncIterator[Build]:
    houses: list[House] = []

    async def make(**more: Any) -> House:
        houses.append(await House.build(broker, **more))
        return houses[-1]

    yield make
    for house in houses:
        await house.close()
