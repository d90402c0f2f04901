"""The whole tour, in an order in which each script needs only what those before it have shown."""

import importlib

SCRIPTS = (
    "asynchrony",
    "producer_consumer",
    "visibility_timeout",
    "idempotency",
    "dead_letters",
    "delay",
    "fifo",
    "push_pull",
    "polling",
    "smoothing",
    "fair_queues",
)


def main() -> None:
    for number, name in enumerate(SCRIPTS):
        if number:
            print()
        importlib.import_module(f"examples.tour.{name}").main()


if __name__ == "__main__":
    main()
