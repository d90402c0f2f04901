"""Signing in with an access key and its secret key."""

import msgspec

from encola.dashboard.page import Page, Visit

TOO_OFTEN = "Too many attempts failed. Wait a minute."
WRONG = "This access key and secret key do not belong together."


class SignIn(msgspec.Struct):
    """The twin: where a script finds out what to do."""

    hint: str = "Scripts sign in with HTTP Basic: the access key and the secret key."


async def page(visit: Visit) -> Page:
    wanted = visit.form.text("next") or visit.query.text("next")
    return Page("sign_in.html", "Sign in", SignIn(), {"wanted": wanted, "access_key": visit.form.text("access_key")})


async def act(visit: Visit) -> tuple[str | None, str]:
    """The session's token, or None and why not."""
    visitors, address = visit.house.visitors, visit.request.peer
    if visitors.blocked(address):
        return None, TOO_OFTEN
    token = visitors.sign_in(visit.form.text("access_key"), visit.form.raw("secret_key"), address)
    return token, "" if token else WRONG


def location(visit: Visit) -> str:
    """Where somebody wanted to go who was asked to sign in first; only within our own pages."""
    wanted = visit.form.text("next")
    return wanted if wanted and visit.links.is_ours(wanted) else visit.links.overview()
