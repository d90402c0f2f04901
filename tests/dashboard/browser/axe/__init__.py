"""axe-core looks for what keeps people out: missing names and labels, poor contrast, wrong roles.

axe.min.js is a copy of axe-core 4.14.1 (Mozilla Public License 2.0, beside it), for tests only: it is in no wheel.
"""

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

SCRIPT = (Path(__file__).parent / "axe.min.js").read_text("utf-8")
MOST = 3
"""So many elements of one violation are told."""

RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


def violations(page: Page) -> list[str]:
    """What axe finds on the page as it is now: the rule, its weight, and the elements.

    Its script comes by the debugger's way: no security policy of the page is in its way, and none is loosened.
    """
    page.evaluate(SCRIPT)
    found: dict[str, Any] = page.evaluate(
        "(tags) => axe.run(document, {runOnly: {type: 'tag', values: tags}, resultTypes: ['violations']})", list(RULES)
    )
    return [
        f"{one['id']} ({one['impact']}): {one['help']}: "
        + "; ".join(node["html"][:160] for node in one["nodes"][:MOST])
        for one in found["violations"]
    ]
