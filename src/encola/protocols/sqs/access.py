"""Who may do what on which queue.

Within an account a credential's own limits decide, and a queue's policy can add to them or deny. Somebody of another
account needs both: a policy of the queue that allows it, and a credential that is not limited further.

Source: IAM user guide, "Policy evaluation logic"; Amazon SQS developer guide, "Using identity-based policies" and
"Using custom policies with the access policy language".
"""

import time

from encola.engine.queue import Queue
from encola.protocols.aws.identity import Identity
from encola.protocols.aws.policy import Decision, Policy, evaluate, parse_policy
from encola.protocols.http.message import Request
from encola.protocols.sqs.errors import SqsError, access_denied
from encola.protocols.sqs.naming import arn_of

POLICIES_MAX = 1000

OWNER_ONLY = (
    "AddPermission",
    "CancelMessageMoveTask",
    "CreateQueue",
    "DeleteQueue",
    "ListMessageMoveTasks",
    "ListQueueTags",
    "ListQueues",
    "RemovePermission",
    "SetQueueAttributes",
    "StartMessageMoveTask",
    "TagQueue",
    "UntagQueue",
)
"""No policy gives these to another account (API reference: "Cross-account permissions don't apply to this action")."""


ROOT_ALWAYS = ("DeleteQueue", "GetQueueAttributes", "GetQueueUrl", "RemovePermission", "SetQueueAttributes")
"""What no policy takes from the account itself (a credential without a name): else a Deny could lock a queue for good.
Source: IAM user guide, "Perform privileged tasks on an AWS Organizations member account", for Amazon SQS policies."""


class Access:
    """See the module. Parsed policies are kept by their text."""

    def __init__(self) -> None:
        self._policies: dict[str, Policy] = {}

    def check(self, identity: Identity, request: Request, queue: Queue, action: str) -> None:
        """Raises SqsError (AccessDenied)."""
        text = queue.settings.attributes.get("Policy")
        own = queue.address.account == identity.account
        if text and (identity.operator or (own and identity.is_root and action in ROOT_ALWAYS)):
            return
        if not own and action in OWNER_ONLY:
            raise self._denied(identity, queue, action)
        if text is None and own:
            if identity.unlimited or identity.allows(action, queue.address.name):
                return
            raise self._denied(identity, queue, action)
        decision = self._decide(text, identity, request, queue, action) if text else Decision.NONE
        allowed = decision is Decision.ALLOW
        limits = identity.allows(action, queue.address.name)
        if decision is Decision.DENY or not ((allowed or limits) if own else (allowed and limits)):
            raise self._denied(identity, queue, action)

    def check_unbound(self, identity: Identity, action: str) -> None:
        """For actions on no queue in particular, or on one that is yet to be. Raises SqsError."""
        if not identity.allows(action, ""):
            raise access_denied(f"User: {identity.arn} is not authorized to perform: sqs:{action.lower()}")

    def check_name(self, identity: Identity, action: str, name: str, region: str) -> None:
        """For a queue that does not exist yet. Raises SqsError."""
        if not identity.allows(action, name):
            arn = f"arn:aws:sqs:{region}:{identity.account}:{name}"
            raise access_denied(
                f"User: {identity.arn} is not authorized to perform: sqs:{action.lower()} on resource: {arn}"
            )

    def _decide(self, text: str, identity: Identity, request: Request, queue: Queue, action: str) -> Decision:
        policy = self._policies.get(text)
        if policy is None:
            if len(self._policies) >= POLICIES_MAX:
                self._policies.clear()
            policy = self._policies[text] = parse_policy(text)
        context = {
            "aws:SourceIp": request.peer,
            "aws:SecureTransport": "true" if request.secure else "false",
            "aws:PrincipalArn": identity.arn,
            "aws:PrincipalAccount": identity.account,
            "aws:UserAgent": request.headers.get("user-agent", ""),
            "aws:CurrentTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "aws:EpochTime": str(int(time.time())),
        }
        return evaluate(
            policy,
            principal_arn=identity.arn,
            account=identity.account,
            owner_account=queue.address.account,
            action=f"sqs:{action}",
            resource_arn=arn_of(identity.region, queue.address),
            context=context,
        )

    def _denied(self, identity: Identity, queue: Queue, action: str) -> SqsError:
        arn = arn_of(identity.region, queue.address)
        return access_denied(
            f"User: {identity.arn} is not authorized to perform: sqs:{action.lower()} on resource: {arn}"
        )
