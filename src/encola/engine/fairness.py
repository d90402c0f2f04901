"""Fair queues: which tenants of a standard queue are noisy.

Source: Amazon SQS developer guide, "How fair queues work" (sqs-fair-queues). A tenant is a message group; each
message without a group is a tenant of its own and hence always quiet.
"""

from collections.abc import Mapping

NOISY_SHARE = 0.10
NOISY_LEASED_MIN = 30


def noisy_tenants(leased: Mapping[str, int], leased_total: int) -> tuple[str, ...]:
    """The noisy groups, the one with fewest leased messages first.

    ``leased`` counts leased messages by group (without the common lane), ``leased_total`` those of the whole
    queue. A tenant is noisy when it holds more than a tenth of all leased messages, and at least thirty.
    """
    noisy = [
        (count, group)
        for group, count in leased.items()
        if group and count >= NOISY_LEASED_MIN and count > NOISY_SHARE * leased_total
    ]
    return tuple(group for _, group in sorted(noisy))
