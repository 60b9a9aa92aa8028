"""Who may ask: of all that a stranger could send, nothing changes or shows the catalog."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from curate import console
from curate.review.app import application
from curate.review.desk import Desk
from curate.review.doors import Door
from curate.workspace import open_workspace

from .asked import answer_to
from .known import JSON, READING, Known
from .made import Visitor, project, served
from .raw import Pair, line

WRITING = {
    "/api/reviews": {"as_of": 0, "verdict": "ood", "query": ""},
    "/api/undo": {"as_of": 0},
    "/api/rate": {"rate": 0.01},
}
METHODS = (
    *("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH"),
    *("post", "INVENTED"),
)


def hosts(port: int) -> dict[str, list[Pair]]:
    """Host as it should be not."""
    return {
        "missing": [],
        "empty": [("Host", "")],
        "two": [("Host", f"127.0.0.1:{port}"), ("Host", f"127.0.0.1:{port}")],
        "no port": [("Host", "127.0.0.1")],
        "other port": [("Host", f"127.0.0.1:{port + 1}")],
        "rebound": [("Host", f"evil.example:{port}")],
        "upper case": [("Host", f"LOCALHOST:{port}")],
        "number": [("Host", f"2130706433:{port}")],
        "longer": [("Host", f"127.0.0.1:{port}.evil.example")],
    }


def origins(port: int) -> dict[str, list[Pair]]:
    """Origin as it should be not."""
    ours = f"http://127.0.0.1:{port}"
    wrong = {
        "empty": "",
        "null": "null",
        "other port": f"http://127.0.0.1:{port + 1}",
        "other name of ours": f"http://localhost:{port}",
        "foreign": "http://evil.example",
        "https": f"https://127.0.0.1:{port}",
        "upper case": f"HTTP://127.0.0.1:{port}",
        "longer": f"{ours}.evil.example",
        "list": f"{ours} {ours}",
    }
    two = [("Origin", ours), ("Origin", "http://evil.example")]
    return {name: [("Origin", value)] for name, value in wrong.items()} | {
        "missing": [], "two": two
    }  # fmt: skip


def cookies(known: Known) -> dict[str, list[Pair]]:
    """Cookies as they should be not."""
    name, _, value = known.visitor.cookie.partition("=")
    other = f"curate-{known.port + 1}={value}"
    wrong = {
        "empty": f"{name}=",
        "wrong": f"{name}={value[:-1]}",
        "of another port": other,
        "token": f"{name}={known.running.token}",
        "used-up token": f"{name}={known.first}",
        "quoted": f'{name}="{value}x"',
        "no text": f"{name}=\xff\xe9",
    }
    return {what: [("Cookie", cookie)] for what, cookie in wrong.items()} | {"missing": []}


SITES = {"cross-site": "cross-site", "same-site": "same-site", "two": "same-origin, cross-site"}


def cells(known: Known) -> Iterator[tuple[str, list[Pair]]]:
    """Every combination of what is right and wrong, but the one that is right in all."""
    host, origin, cookie = known.ours
    every = product(
        {"ours": [host], **hosts(known.port)}.items(),
        {"ours": [origin], **origins(known.port)}.items(),
        {"ours": [cookie], **cookies(known)}.items(),
        [("none", []), *((name, [("Sec-Fetch-Site", site)]) for name, site in SITES.items())],
    )
    next(every)
    for parts in every:
        yield ", ".join(name for name, _ in parts), [pair for _, pairs in parts for pair in pairs]


@pytest.mark.parametrize("path", WRITING)
def test_in_no_other_cell_is_anything_written(known: Known, path: str) -> None:
    body = json.dumps(WRITING[path]).encode()
    seen = set[int]()
    with line(known.port, known.prefix) as asking:
        for what, headers in cells(known):
            reply = asking.ask("POST", path, [*headers, JSON], body)
            assert reply.status in (400, 401, 403, 421), (what, reply)
            assert not known.tells(reply.body), what
            seen.add(reply.status)
    assert seen == {400, 401, 403, 421}
    assert known.untouched()


@pytest.mark.parametrize("path", WRITING)
def test_no_other_method_writes(known: Known, path: str) -> None:
    body = json.dumps(WRITING[path]).encode()
    queries = ("", f"?token={known.running.token}", "?_method=POST")
    with line(known.port, known.prefix) as asking:
        for method, query in product(METHODS, queries):
            overridden = ("X-HTTP-Method-Override", "POST")
            reply = asking.ask(method, path + query, [*known.ours, JSON, overridden], body)
            assert (reply.status, reply.all_of("set-cookie")) == (405, []), method
            assert reply.all_of("allow") in (["POST"], ["GET, HEAD, POST"]), method
    assert known.untouched()


def test_nothing_is_shown_without_the_cookie(known: Known) -> None:
    host, origin, _ = known.ours
    paths = (*READING, f"/preview/{known.hashes[0]}", f"/api/image/{known.hashes[0]}")
    with line(known.port, known.prefix) as asking:
        for path, (what, cookie) in product(paths, cookies(known).items()):
            for method in ("GET", "HEAD"):
                reply = asking.ask(method, path, [host, *cookie])
                assert reply.status == 401, (path, what)
                assert not known.tells(reply.body), path
        for path, (what, wrong) in product(paths, hosts(known.port).items()):
            reply = asking.ask("GET", path, [*wrong, origin, known.cookie])
            assert reply.status in (400, 421), (path, what)
            assert not known.tells(reply.body), path
        strangers = {**origins(known.port)}
        del strangers["missing"]
        for path, (what, foreign) in product(paths, strangers.items()):
            reply = asking.ask("GET", path, [host, *foreign, known.cookie])
            assert reply.status == 403, (path, what)
            assert not known.tells(reply.body), path
        for path, site in product(paths[1:], SITES.values()):
            headers = [host, known.cookie, ("Sec-Fetch-Site", site)]
            assert asking.ask("GET", path, headers).status == 403, path
        for path in paths:
            assert asking.ask("GET", path, known.ours).status == 200, path


def test_a_token_is_for_reading_the_page_alone(known: Known) -> None:
    token, (host, origin, _) = known.running.token, known.ours
    with line(known.port, known.prefix) as asking:
        for method, target, headers in (
            ("POST", f"/?token={token}", [host, origin]),
            ("HEAD", f"/?token={token}", [host]),
            ("GET", f"/api/news?token={token}", [host]),
            ("GET", f"//?token={token}", [host]),
            ("GET", f"/?token={token}&token={token}", [host]),
            ("GET", f"/?Token={token}", [host]),
            ("GET", f"/?token={token[:-1]}", [host]),
            ("GET", f"/?token={known.first}", [host]),
            ("GET", "/?token=", [host]),
            ("GET", "/?token=%FF%00\xff", [host]),
            ("GET", f"/?token={token}", [host, ("Origin", "http://evil.example")]),
            ("GET", f"/?token={token}", [("Host", f"evil.example:{known.port}")]),
        ):
            reply = asking.ask(method, target, headers)
            assert reply.status in (400, 401, 403, 421), target
            assert reply.all_of("set-cookie") == [], target
        body = f"token={token}".encode()
        form = ("Content-Type", "application/x-www-form-urlencoded")
        assert asking.ask("POST", "/", [host, origin, form], body).status == 401
    assert known.running.token == token


def test_a_cookie_is_sent_to_this_server_alone_and_read_by_no_script(tmp_path: Path) -> None:
    project(tmp_path, 1)
    with served(tmp_path) as running, line(running.port, running.prefix) as asking:
        host = ("Host", f"127.0.0.1:{running.port}")
        linked = ("Sec-Fetch-Site", "cross-site")
        reply = asking.ask("GET", f"/?token={running.token}", [host, linked])
        [cookie] = reply.all_of("set-cookie")
        assert re.fullmatch(
            rf"curate-{running.port}=[\w-]{{43}}; Path=/[\w-]{{22}}/; HttpOnly; SameSite=Strict",
            cookie,
        )
        # Another server of this machine is not asked below a path that it cannot guess.
        assert f"Path={running.prefix}/;" in cookie
        with line(running.port) as elsewhere:
            for path in ("/", "/api/news?since=0", f"{running.prefix}x/", running.prefix):
                known = elsewhere.ask("GET", path, [host, ("Cookie", cookie.partition(";")[0])])
                assert known.status == 404, path
            token = f"/?token={running.next_address().partition('token=')[2]}"
            refused = elsewhere.ask("GET", token, [host])
            assert (refused.status, refused.all_of("set-cookie")) == (404, [])
        session = cookie.partition(";")[0]
        # Other servers of this machine set cookies of any form, and even of this name.
        for others in (
            f'theme={{"a": "b"}}; {session}',
            f"{session}; a=\xe4; b",
            f"curate-{running.port}=x; {session}; curate-{running.port}=y",
        ):
            assert asking.ask("GET", "/", [host, ("Cookie", others)]).status == 200, others
        two = [("Cookie", "a=b"), ("Cookie", session)]
        assert asking.ask("GET", "/", [host, *two]).status == 200
        again = asking.ask("GET", "/", [host, ("Cookie", f"{session}x")])
        assert (again.status, again.all_of("set-cookie")) == (401, [])


def test_both_names_of_this_machine_may_write_and_read(tmp_path: Path) -> None:
    project(tmp_path, 3)
    with served(tmp_path) as running, line(running.port, running.prefix) as asking:
        visitor = Visitor(running)
        for step, name in enumerate(("127.0.0.1", "localhost"), 1):
            host = f"{name}:{running.port}"
            ours = [("Host", host), ("Origin", f"http://{host}"), ("Cookie", visitor.cookie), JSON]
            said = {"as_of": step - 1, "verdict": "ood", "query": ""}
            reply = asking.ask("POST", "/api/reviews", ours, json.dumps(said).encode())
            assert (reply.status, json.loads(reply.body)["step"]) == (200, step)


def test_at_the_port_of_http_no_port_is_named(tmp_path: Path) -> None:
    project(tmp_path, 1)
    with open_workspace(str(tmp_path / ".curate"), create=False) as workspace:
        addresses = list[str]()
        door = Door(application(Desk(workspace, "anna", console.safe)), 80, addresses.append)
        path, _, token = addresses[0].removeprefix("http://127.0.0.1:80").partition("?")
        assert answer_to(door, path, token, "127.0.0.1") == 200
        assert answer_to(door, path, addresses[1].partition("?")[2], "127.0.0.1:80") == 421
