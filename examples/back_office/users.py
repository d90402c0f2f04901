"""The users of the back office: each asks for one report after the other, and looks at the clock."""

import http.client
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

Wish = tuple[str, str, str]
"""Request, route, and the way in which it shall be made."""

USERS = 12
ANSWER_SECONDS_MAX = 120


def ask(port: int, path: str, wishes: Sequence[Wish], on_answer: Callable[[], None]) -> list[float]:
    """All wishes, asked for by ``USERS`` users at a time. Answers the seconds that each had to wait."""

    def of_one_user(mine: Sequence[Wish]) -> list[float]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS_MAX)
        waited = []
        for request, route, way in mine:
            began = time.perf_counter()
            connection.request("POST", path, json.dumps({"request": request, "route": route, "way": way}))
            answer = connection.getresponse()
            answer.read()
            if answer.status not in (200, 202):
                raise RuntimeError(f"the office answered {answer.status}")
            waited.append(time.perf_counter() - began)
            on_answer()
        connection.close()
        return waited

    with ThreadPoolExecutor(USERS) as pool:
        parts = pool.map(of_one_user, [wishes[user::USERS] for user in range(USERS)])
        return [seconds for part in parts for seconds in part]


def quantile(seconds: Sequence[float], share: float) -> float:
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
