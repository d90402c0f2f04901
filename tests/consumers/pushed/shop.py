"""One application, three ways: ``encola work`` runs ``app``; mappings call ``handler``, in a process or by a URL."""

import os

import encola

AT_ONCE = encola.Backoff(base=0.0)


def build(name: str, server: str, queue: str) -> encola.App:
    """The application on a queue: each of its tasks ends in another way."""
    app = encola.App(name, server=server)

    @app.task(queue=queue, backoff=AT_ONCE)
    def fine(n: int) -> int:
        return n + 1

    @app.task(queue=queue, backoff=AT_ONCE, retries=3)
    async def flaky(n: int) -> int:
        if encola.current_job().attempt < 3:
            raise RuntimeError("not yet")
        return n + 2

    @app.task(queue=queue)
    def hopeless(n: int) -> None:
        raise encola.Permanent(f"no such number: {n}")

    @app.task(queue=queue, backoff=AT_ONCE, retries=1)
    def broken(n: int) -> None:
        raise ValueError(f"number {n}")

    @app.task(queue=queue, key="report/{month}")
    def report(month: str) -> str:
        return f"pages of {month}"

    return app


if "SHOP_QUEUE" in os.environ:
    app = build(os.environ["SHOP_NAME"], os.environ["SHOP_SERVER"], os.environ["SHOP_QUEUE"])
    handler = app.lambda_handler()
