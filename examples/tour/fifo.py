"""Order where it matters, and only there: FIFO queues and message groups. ``python -m examples.tour.fifo``"""

from typing import Any

from examples.tour.stage import Stage, saw, step, title, why

STEPS = ("ordered", "paid", "shipped")
CUSTOMERS = ("ada", "bob")


def receive(sqs: Any, queue: str, most: int = 1) -> list[Any]:
    """Up to ``most`` messages; they stay ours until they are deleted."""
    answer = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=most, MessageSystemAttributeNames=["All"])
    messages: list[Any] = answer.get("Messages", [])
    return messages


def names(messages: list[Any]) -> str:
    told = [f"'{message['Attributes']['MessageGroupId']} {message['Body']}'" for message in messages]
    return ", ".join(told) or "nothing"


def delete(sqs: Any, queue: str, message: Any) -> None:
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


def send(sqs: Any, queue: str, customer: str, text: str) -> str:
    """Answers the message id."""
    answer = sqs.send_message(
        QueueUrl=queue, MessageBody=text, MessageGroupId=customer, MessageDeduplicationId=f"{customer}-{text}"
    )
    return str(answer["MessageId"])


def main() -> None:
    title(
        "FIFO queues and groups", "Messages of one group come one after the other; groups do not wait for each other."
    )
    with Stage() as stage:
        sqs = stage.sqs
        standard = sqs.create_queue(QueueName="orders")["QueueUrl"]
        queue = sqs.create_queue(QueueName="orders.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]

        step(1, "On a standard queue: ada's order is placed, then paid. Two consumers take a message each.")
        for text in STEPS[:2]:
            sqs.send_message(QueueUrl=standard, MessageBody=text, MessageGroupId="ada")
        slow, fast = receive(sqs, standard)[0], receive(sqs, standard)[0]
        finished = []
        for message in (fast, slow):  # who received first is slower
            finished.append(message["Body"])
            delete(sqs, standard, message)
        saw(f"The quicker consumer is done first. The work was finished in this order: {', '.join(finished)}.")
        assert finished == ["paid", "ordered"]
        why("More than one consumer is enough to lose an order, however the queue delivers.")

        step(2, f"On a FIFO queue: {', '.join(STEPS)}, each for ada and for bob. The group is the customer.")
        for text in STEPS:
            for customer in CUSTOMERS:
                send(sqs, queue, customer, text)
        first, second, third = (receive(sqs, queue) for _ in range(3))
        saw(f"Three consumers ask for a message each, and get {names(first)}, {names(second)}, {names(third)}.")
        assert [names(one) for one in (first, second, third)] == ["'ada ordered'", "'bob ordered'", "nothing"]
        why("While a message of a group is out, the rest of the group waits. So two groups keep two consumers busy.")

        step(3, "The consumer of 'ada ordered' fails, and gives it back. Somebody asks for up to 10 messages.")
        sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=first[0]["ReceiptHandle"], VisibilityTimeout=0)
        again = receive(sqs, queue, most=10)
        saw(f"They get {names(again)}, and nothing of bob.")
        assert names(again) == "'ada ordered', 'ada paid', 'ada shipped'"
        why("What failed is first again: 'paid' cannot overtake it. One receive may take a group's messages in order.")

        step(4, "The producer did not hear whether 'bob ordered' arrived, and sends it again, under the same id.")
        before = sum(stage.counts(queue).values())
        known = send(sqs, queue, "bob", "ordered") == second[0]["MessageId"]
        added = sum(stage.counts(queue).values()) - before
        saw(f"The answer names the message that is there already. Messages added to the queue: {added}.")
        assert (known, added) == (True, 0)
        why("For 5 minutes the queue remembers deduplication ids, also of messages that are deleted by then.")

        step(5, "All is deleted, in order.")
        for message in (*again, *second):
            delete(sqs, queue, message)
        rest = receive(sqs, queue, most=10)
        for message in rest:
            delete(sqs, queue, message)
        saw(f"Bob's others came as soon as his first was deleted: {names(rest)}. The queue: {stage.told(queue)}.")
        assert names(rest) == "'bob paid', 'bob shipped'"
        assert sum(stage.counts(queue).values()) == 0


if __name__ == "__main__":
    main()
