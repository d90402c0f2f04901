"""Tokens, cookies, fields, links, routes and figures: what pages are made of, without a server."""

import pytest

from encola.dashboard import cookies, figures, tokens
from encola.dashboard.config import DashboardConfig, is_base_path
from encola.dashboard.fields import FIELDS_MAX, Fields, FieldsError
from encola.dashboard.links import Links
from encola.dashboard.paging import Paging
from encola.dashboard.routes import Route, Routes

KEY = b"k" * 32


def test_a_token_comes_back_whole_or_not_at_all() -> None:
    token = tokens.sign(KEY, "session", b"\x00who")
    assert tokens.verify(KEY, "session", token) == b"\x00who"
    assert tokens.content_of(token) == b"\x00who"
    assert tokens.verify(KEY, "csrf", token) is None
    assert tokens.verify(b"another", "session", token) is None
    for index in range(len(token)):
        bent = token[:index] + ("A" if token[index] != "A" else "B") + token[index + 1 :]
        if tokens.content_of(bent) != b"\x00who" or bent.partition(".")[2] != token.partition(".")[2]:
            found = tokens.verify(KEY, "session", bent)
            assert found is None or index == len(token) - 1  # the last character holds bits that mean nothing


@pytest.mark.parametrize("text", ["", ".", "a", "a.b", "é.é", "====.====", "." * 3000, "A" * 5000 + ".AA"])
def test_what_is_no_token_is_none(text: str) -> None:
    assert tokens.verify(KEY, "session", text) is None


def test_cookies_are_read_as_browsers_send_them() -> None:
    assert cookies.read("a=1; b=%20x%3B; a=2; odd; c=") == {"a": "1", "b": " x;", "c": ""}
    name, value = cookies.setting("a", "x; Path=/evil", path="/encola", secure=True, seconds=0)
    assert name == "Set-Cookie"
    assert value == "a=x%3B%20Path%3D%2Fevil; Path=/encola; HttpOnly; SameSite=Lax; Max-Age=0; Secure"


def test_fields_are_read_by_name_and_kept_within_limits() -> None:
    fields = Fields.parse("a=+x+&a=2&n=17&low=-5&big=99999999999999999999&body=1%0D%0A2&flag=on&off=0")
    assert fields.text("a") == "x"
    assert fields.all("a") == [" x ", "2"]
    assert fields.number("n", 1, 0, 10) == 10
    assert fields.number("low", 1, 0, 10) == 0
    assert fields.number("big", 1, 0, 10) == 1
    assert fields.number("none", 3, 0, 10) == 3
    assert fields.raw("body") == "1\n2"
    assert fields.flag("flag")
    assert not fields.flag("off")


@pytest.mark.parametrize("text", ["&".join("a=1" for _ in range(FIELDS_MAX + 1)), b"\xff=\xff", "a=%ff"])
def test_what_is_no_form_is_refused(text: str | bytes) -> None:
    with pytest.raises(FieldsError):
        Fields.parse(text)


def test_links_quote_names_and_name_the_account_where_it_is_another() -> None:
    links = Links("/encola", "000000000000", "000000000000")
    assert links.queue("a b/c", "messages", after=17, text="") == "/encola/ui/queues/a%20b%2Fc/messages?after=17"
    assert links.overview() == "/encola/"
    other = Links("", "111122223333", "000000000000")
    assert other.overview(search="x&y") == "/?account=111122223333&search=x%26y"


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/ui/",
        "/\\evil",
        "/ui\\..\\x",
        "/ui/\\evil",
        "javascript:alert(1)",
        "",
        "/ui/\u2603",
        "/ui/x\r\nSet-Cookie: a=b",
    ],
)
def test_only_pages_of_ours_are_ours(target: str) -> None:
    links = Links("", "000000000000", "000000000000")
    assert not links.is_ours(target)
    assert links.is_ours("/")
    assert links.is_ours("/ui/queues/x?after=1")


def test_routes_take_names_out_of_paths() -> None:
    routes = Routes([Route("jobs"), Route("queues/{queue}/purge"), Route("queues/{queue}"), Route("jobs/{key...}")])
    assert routes.find("jobs") is not None
    found = routes.find("queues/a%2Fb")
    assert found is not None
    assert found[1] == {"queue": "a/b"}
    found = routes.find("jobs/app/task/1")
    assert found is not None
    assert found[1] == {"key": "app/task/1"}
    for path in ("queues", "queues/a/b", "nothing", "queues/a%00", "x" * 5000):
        assert routes.find(path) is None


def test_figures_are_as_people_read_them() -> None:
    assert [figures.count(one) for one in (0, 999, 12345, None)] == ["0", "999", "12\u2009345", "\u2013"]
    assert [figures.rate(one) for one in (0, 0.001, 0.25, 3.14, 1204)] == ["0", "<0.01", "0.25", "3.1", "1\u2009204"]
    spoken = [
        figures.duration(one) for one in (None, 0, 0.00001, 0.0025, 0.012, 4.2, 59.6, 185, 7800, 90000, 86400 * 3)
    ]
    assert spoken == [
        "never",
        "0 s",
        "0 s",
        "2.5 ms",
        "12 ms",
        "4.2 s",
        "1 min",
        "3 min 5 s",
        "2 h 10 min",
        "1 d 1 h",
        "3 d",
    ]
    assert [figures.size(one) for one in (312, 1434, 1024**2, 5 * 1024**4)] == ["312 B", "1.4 kB", "1.0 MB", "5.0 TB"]
    for at in (0, None, 2**53, 10**15):  # a worker's clock may say anything
        assert figures.moment(at) == "\u2013"
        assert figures.iso(at) == ""
    assert figures.moment(1_000) == "1970-01-01 00:00:01"


def test_a_sparkline_spans_its_box() -> None:
    assert figures.sparkline([]) == ""
    assert figures.sparkline([0.0, 5.0, 10.0]) == "0.0,21.0 48.0,11.0 96.0,1.0"
    assert figures.sparkline([0.0, 0.0]) == "0.0,21.0 96.0,21.0"


def test_a_page_beyond_the_last_is_the_last() -> None:
    assert Paging.of(0, 5, 50) == Paging(0, 1, 1, 0)
    assert Paging.of(101, 3, 50) == Paging(101, 3, 3, 100)
    assert Paging.of(100, 9, 50) == Paging(100, 2, 2, 50)


@pytest.mark.parametrize("path", ["/", "encola", "/a/", "/a b", "/../x", "//evil", '/"x', "/a?b"])
def test_what_cannot_stand_before_our_paths_is_refused(path: str) -> None:
    assert not is_base_path(path)
    with pytest.raises(ValueError, match="base_path"):
        DashboardConfig(base_path=path)


def test_a_proxys_header_needs_to_say_who_the_proxy_is() -> None:
    with pytest.raises(ValueError, match="proxy_peers"):
        DashboardConfig(proxy_header="X-Forwarded-User")
    assert is_base_path("")
    assert is_base_path("/a/b-c.d")
