"""What comes over the wire: garbage, tricks and errors are answered, and nothing leaks."""

from __future__ import annotations

import json
import random
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import unquote

import curate.review

from ..catalog.cases import name_of
from .known import JSON, READING, Known
from .made import Visitor, preview, project, served
from .raw import Line, Reply, line, request

GARBAGE = [
    b"\r\n\r\n",
    b"no HTTP at all\r\n\r\n",
    b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1e3\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: xchunked\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost : {host}\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: {host}\r\nX: a\0b\r\n\r\n",
    b"GET /\r\n\r\n",
    b"GET  / HTTP/1.1\r\nHost: {host}\r\n\r\n",
    b"GET /\xc3\xa9 HTTP/1.1\r\nHost: {host}\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    b"GET / HTTP/1.1\r\nHost: {host}\r\nX: " + b"a" * 400_000,
]


def test_what_is_no_http_is_answered_as_such(known: Known) -> None:
    for garbage in GARBAGE:
        with line(known.port, known.prefix) as asking:
            try:
                asking.send(garbage.replace(b"{host}", known.host.encode()))
            except ConnectionError:  # it hung up in the middle
                continue
            reply = asking.reply()
            assert reply is None or reply.status == 400, garbage[:80]
            assert reply is not None or len(garbage) > 100_000
            assert not asking.is_open


def test_a_request_does_not_hide_in_another_one(known: Known) -> None:
    hidden = request("POST", f"{known.prefix}/api/undo", [*known.ours, JSON], b'{"as_of": 0}')
    chunked = (("Transfer-Encoding", "chunked"), ("Content-Length", str(len(hidden) + 5)))
    headers = [known.ours[0], *chunked]
    with line(known.port, known.prefix) as asking:
        asking.send(request("GET", f"{known.prefix}/", headers) + b"0\r\n\r\n" + hidden)
        statuses = list[int]()
        while reply := asking.reply():
            statuses.append(reply.status)
            if len(statuses) == 2 or not asking.is_open:
                break
        # One length counts, the chunks': what follows them is a request of its own, with a cookie.
        assert statuses in ([401, 200], [400], [401, 400])


def test_errors_of_every_kind_have_every_header(known: Known) -> None:
    ours, asked = known.ours, []
    large = b'{"as_of": 0, "x": "' + b"x" * 1_100_000 + b'"}'
    with line(known.port, known.prefix) as asking:
        for status, method, target, headers, body in (
            (404, "GET", "/static/none.js", ours, b""),
            (404, "GET", f"/preview/{'0' * 64}", ours, b""),
            (404, "GET", f"/api/image/{'0' * 64}", ours, b""),
            (404, "GET", "/api/news/?since=0", ours, b""),
            (405, "POST", "/", [*ours, JSON], b"{}"),
            (405, "GET", "/api/undo", ours, b""),
            (405, "HEAD", "/api/undo", ours, b""),
            (405, "OPTIONS", "*", ours, b""),
            (415, "POST", "/api/undo", ours, b'{"as_of": 0}'),
            (415, "POST", "/api/undo", [*ours, ("Content-Type", "text/plain")], b'{"as_of": 0}'),
            (400, "POST", "/api/undo", [*ours, JSON], b"["),
            (413, "POST", "/api/undo", [*ours, JSON], large),
            (200, "GET", "/", ours, b""),
        ):
            reply = asking.ask(method, target, headers, body)
            assert reply.status == status, target
            asked.append(reply.status)
    assert len(asked) == 13


def test_too_many_connections_are_told_so(known: Known) -> None:
    with ExitStack() as stack:
        for _ in range(64):
            address = ("127.0.0.1", known.port)
            stack.enter_context(closing(socket.create_connection(address)))
        with line(known.port, known.prefix) as asking:
            assert asking.ask("GET", "/", known.ours).status == 503
    with line(known.port, known.prefix) as asking:
        for _ in range(100):
            reply = asking.ask("GET", "/", known.ours)
            if reply.status == 200:
                break
        assert reply.status == 200


def test_a_place_that_cannot_be_read_is_said_without_a_traceback(tmp_path: Path) -> None:
    [sha256] = project(tmp_path, 1)
    with served(tmp_path) as running, line(running.port, running.prefix) as asking:
        visitor = Visitor(running)
        ours = [("Host", f"127.0.0.1:{running.port}"), ("Cookie", visitor.cookie)]
        with closing(sqlite3.connect(tmp_path / ".curate" / "previews.db")) as previews:
            previews.execute("DROP TABLE previews")
        reply = asking.ask("GET", f"/preview/{sha256}", ours)
        assert reply.status == 503
        said = json.loads(reply.body)["error"]
        assert said.startswith(f"'{tmp_path}/.curate/previews.db': the previews cannot be used")
        with closing(sqlite3.connect(tmp_path / ".curate" / "catalog.db")) as catalog:
            catalog.execute("DROP VIEW current_tag")
        reply = asking.ask("GET", f"/api/image/{sha256}", ours)
        assert reply.status == 500
        assert json.loads(reply.body) == {"error": "an error of the page; the terminal says more"}
        assert asking.ask("GET", "/", ours).status == 200
        said = running.stop()
        assert said.count("Traceback") >= 1
        assert "previews" not in said


def test_the_address_is_printed_and_is_nowhere_else(tmp_path: Path) -> None:
    project(tmp_path, 2)
    with served(tmp_path, "--reviewer", "anna") as running:
        secrets = [running.token]
        visitor = Visitor(running)
        secrets += [running.token, visitor.cookie.partition("=")[2]]
        answers = [visitor.get(path) for path in ("/", "/api/news?since=0", "/none", "/?token=x")]
        answers.append(visitor.get(f"/?token={secrets[0]}", cookie=None))
        with line(running.port, running.prefix) as asking:
            asking.send(GARBAGE[1])
            asking.reply()
        process = Path("/proc", str(running.process.pid))
        places = [(process / name).read_bytes() for name in ("cmdline", "environ")]
        said = running.stop().encode()
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    told = [body + str(headers).encode() for _, headers, body in answers]
    for secret in secrets:
        assert not [place for place in (*places, said, *kept, *told) if secret.encode() in place]
    assert b"Traceback" not in said


def parts(hashes: list[str]) -> list[str]:
    """What paths are made of."""
    return [
        *("..", ".", "%2e%2e", "%2e", ".%2e", "%252e%252e", "%c0%ae%c0%ae", "%e2%80%a4", "%u002e"),
        *("..;", ";", "...", "~", "%00", "%0a", "%0d%0aX:y", "*", "%", "%zz", "&", "?", "#", "@"),
        *("static", "preview", "api", "queue", "templates", "page.html", "review.js", "icon.svg"),
        *("app.py", "desk.py", "etc", "passwd", "proc", "self", "environ", "inbox", ".curate"),
        *("upload-0.png", "catalog.db", "previews.db", "STATIC", "review.js.", "review.js%00"),
        *("a" * 3_000, *hashes, hashes[0].upper(), hashes[0][:-1], "http:", "file:", "c:"),
    ]


SLASHES = ("/", "//", "%2f", "%252f", "\\", "%5c", "/./", "/../", "%2f..%2f")
BEFORE = ("/", "//", "/static/", "/preview/", "/api/", "/api/image/", "/static/..%2f", "")


def tricks(known: Known, number: int) -> list[str]:
    """So many targets of requests, which mean to lead elsewhere."""
    rng = random.Random(12)
    made, words = list[str](), parts(known.hashes)
    foreign = ("http://evil.example", f"http://{known.host}", "file://", "//evil.example")
    while len(made) < number:
        pieces = [rng.choice(words) for _ in range(rng.randint(1, 5))]
        path = rng.choice(BEFORE) + "".join(piece + rng.choice(SLASHES) for piece in pieces)
        path = path.rstrip("/") if rng.random() < 0.7 else path
        made.append(rng.choice(foreign) + path if rng.random() < 0.05 else path or "/")
    return made


def served_at(known: Known) -> dict[str, bytes | None]:
    """What there is by path: assets and previews, and answers, which vary."""
    static = Path(curate.review.__file__).parent / "static"
    found: dict[str, bytes | None] = {
        f"/static/{file.name}": file.read_bytes() for file in static.iterdir()
    }
    found |= {f"/preview/{name_of(number)}": preview(number) for number in range(3)}
    answers = [path.partition("?")[0] for path in READING if not path.startswith("/static")]
    images = [f"/api/image/{sha256}" for sha256 in known.hashes]
    return found | dict.fromkeys((*answers, *images))


def pipelined(asking: Line, requests: list[bytes]) -> Iterator[Reply]:
    """The answers to many requests, sent ahead; where the server hangs up, the rest anew."""
    done = 0
    while done < len(requests):
        asking.send(b"".join(requests[done : done + 50]))
        for _ in range(min(50, len(requests) - done)):
            reply = asking.reply()
            assert reply is not None
            done += 1
            yield reply
            if not asking.is_open:
                break


def test_ten_thousand_tricks_lead_nowhere_else(known: Known) -> None:
    there = served_at(known)
    inbox = known.folder / "inbox"
    inbox.mkdir()
    for number in range(3):
        (inbox / f"upload-{number}.png").write_bytes(b"ORIGINAL" + preview(number))
    targets = [*there, *tricks(known, 10_000)]
    paths = [target.startswith("/") * known.prefix + target for target in targets]
    requests = [request("GET", path, known.ours) for path in paths]
    found, statuses = set[str](), set[int]()
    with line(known.port, known.prefix) as asking:
        replies = pipelined(asking, requests)
        for target, reply in zip(targets, replies, strict=True):
            path = unquote(target.partition("?")[0])
            statuses.add(reply.status)
            assert reply.status in (200, 400, 404), (target, reply.status)
            assert b"ORIGINAL" not in reply.body
            if reply.status == 200:
                assert path in there, target
                assert there[path] in (None, reply.body), target
                found.add(path)
    assert statuses == {200, 400, 404}
    assert found >= {path for path, content in there.items() if content is not None}
