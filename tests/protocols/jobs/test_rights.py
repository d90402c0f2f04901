"""Who may apply, get and find jobs: signatures, and credentials that may do less than everything."""

import json

import pytest

from encola.broker.broker import Broker
from encola.protocols.aws.credentials import identity_of
from encola.protocols.aws.identity import Authenticator, Credential
from encola.protocols.aws.json_endpoint import may
from encola.protocols.http.message import Response
from encola.protocols.jobs.endpoint import ACTIONS, JobsEndpoint
from encola.server.config import Config

from ..aws.signer import NOW, signed

ACCOUNT = "111122223333"
BODIES = {
    "Apply": {"Commands": [{"type": "forget", "key": "k"}]},
    "Get": {"Keys": ["k"]},
    "Find": {},
}


def credential(actions: tuple[str, ...], queues: tuple[str, ...] = ("*",)) -> Credential:
    return Credential("KEY", "secret", ACCOUNT, "worker", actions, queues)


async def ask(broker: Broker, limited: Credential, operation: str, secret: str = "secret") -> Response:
    endpoint = JobsEndpoint(broker.records, Authenticator([limited], wall=lambda: NOW))
    headers = [("X-Amz-Target", f"EncolaJobs.{operation}"), ("Content-Type", "application/x-amz-json-1.0")]
    body = json.dumps(BODIES[operation]).encode()
    return await endpoint.handle(signed("POST", "/", headers, body, key="KEY", secret=secret))


@pytest.mark.parametrize(
    ("actions", "queues", "allowed"),
    [
        (("*",), ("*",), {"Apply", "Get", "Find"}),
        (("ApplyJobs", "GetJobs"), ("*",), {"Apply", "Get"}),
        (("sqs:FindJobs",), ("*",), {"Find"}),
        (("SendMessage",), ("*",), set()),
        (("Get*",), ("reports-*",), {"Get"}),
        (("ReceiveMessage", "*Jobs"), ("reports-*",), {"Apply", "Get", "Find"}),
        (("*",), ("reports-*",), set()),
        (("sqs:*", "**"), ("reports-*",), set()),
        (("*", "getjobs"), ("reports-*",), {"Get"}),
    ],
)
async def test_a_credential_may_what_it_may(
    broker: Broker, actions: tuple[str, ...], queues: tuple[str, ...], allowed: set[str]
) -> None:
    """Everything on some queues is not everything on all jobs: that has to be said."""
    for operation in BODIES:
        response = await ask(broker, credential(actions, queues), operation)
        if operation in allowed:
            assert response.status == 200
        else:
            told = json.loads(response.body)
            assert (response.status, told["__type"]) == (403, "encola.jobs#AccessDeniedException")
            assert f"arn:aws:iam::{ACCOUNT}:user/worker" in told["message"]
            assert operation.lower() in told["message"]


async def test_a_wrong_signature_is_refused(broker: Broker) -> None:
    response = await ask(broker, credential(("*",)), "Get", secret="another")
    assert (response.status, json.loads(response.body)["__type"]) == (403, "encola.jobs#InvalidSignatureException")


def test_the_configuration_knows_the_actions() -> None:
    for action in ACTIONS:
        assert may(identity_of(credential((action,), ("none",)), "us-east-1"), action)
        Config(credentials=(credential((action,)),))
    with pytest.raises(ValueError, match="no action is called DropJobs"):
        Config(credentials=(credential(("DropJobs",)),))
