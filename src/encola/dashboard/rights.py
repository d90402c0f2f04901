"""Rights on what belongs to an account, and to no queue: jobs and workers, as their endpoints have them."""

from encola.dashboard.page import Refused, Visit
from encola.dashboard.visitors import READS
from encola.protocols.aws.json_endpoint import may

_LOOKS = tuple(one.rstrip("*") for one in READS)


def permitted(visit: Visit, action: str) -> bool:
    """May the visitor do it? For what a page offers."""
    if visit.visitor.read_only and not action.startswith(_LOOKS):
        return False
    return may(visit.visitor.identity, action)


def demand(visit: Visit, action: str) -> None:
    """Raises Refused if the visitor may not do it."""
    if visit.visitor.read_only and not action.startswith(_LOOKS):
        raise Refused("You may look, but not act.", 403)
    if not may(visit.visitor.identity, action):
        who = visit.visitor.identity.arn
        raise Refused(f"User: {who} is not authorized to perform: {action.lower()}", 403)
