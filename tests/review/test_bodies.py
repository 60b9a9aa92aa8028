"""Whatever a request brings, the answer is one line on what is wrong, and nothing changes."""

from __future__ import annotations

import json
from urllib.parse import quote

from .known import JSON, Known
from .raw import line

DEEP = 150_000
BODIES: list[bytes] = [
    *(b"", b" ", b"{", b"[]", b"null", b"1", b'"text"', b"true", b"{}", b"\xff\xfe", b"\x00"),
    *(b"[" * DEEP, b'{"a":' * DEEP, b"\xed\xa0\x80", b"{'as_of': 0}", b'{"as_of": 0,}'),
    *(b'{"as_of": NaN}', b'{"as_of": 1e400}', b'{"as_of": -1}', b'{"as_of": 2147483648}'),
    *(b'{"as_of": true}', b'{"as_of": "0"}', b'{"as_of": null}', b'{"as_of": []}'),
    b'{"as_of": ' + b"9" * 5_000 + b"}",
    b'{"as_of": 9' + b"0" * 4_000 + b"}",
]
WORDS: list[bytes] = [
    b'{"as_of": 0, "verdict": "ood", "query": "", "more": NaN}',
    b'{"as_of": 0, "verdict": "ood", "query": "", "more": Infinity}',
    b'{"as_of": 0, "verdict": "ood", "images": ["\\ud800"]}',
    b'{"as_of": 0, "verdict": "ood", "images": ["\xed\xa0\x80"]}',
    b'{"as_of": 0, "verdict": "ood", "images": ["\\u0000"]}',
    b'{"as_of": 0, "verdict": "\\ud800", "query": ""}',
    b'{"as_of": 0, "verdict": "id", "class": "\\udcff", "query": ""}',
    b'{"as_of": 0, "verdict": "ood", "query": "path:\\ud800"}',
    b'{"as_of": 0, "verdict": "ood", "query": "path:\\u0000"}',
    b'{"as_of": 0, "verdict": "ood", "query": "' + b"p<1 " * 5_000 + b'"}',
    b'{"as_of": 0, "verdict": "ood", "query": "' + b"a" * 900_000 + b'"}',
    b'{"as_of": 0, "verdict": "ood", "images": ["' + b"a" * 900_000 + b'"]}',
]
RATES: list[bytes] = [
    *(b'{"rate": ' + rate + b"}" for rate in (b"0", b"-1", b"0.6", b"1e400", b"NaN", b"1e-999")),
    *(b'{"rate": ' + rate + b"}" for rate in (b'"0.1"', b"null", b"true", b"[]", b"{}")),
    b'{"rate": 1' + b"0" * 4_000 + b"}",
]
TARGETS = [
    *("/api/queue", "/api/queue?order=highest", "/api/queue?limit=5", "/api/queue?limit=5&order="),
    *(f"/api/queue?order=highest&limit={limit}" for limit in ("", "x", "-1", "1.5", "2147483648")),
    f"/api/queue?order=highest&limit={'9' * 5_000}",
    *(
        f"/api/queue?order=newest&limit=5&cursor={quote(cursor)}"
        for cursor in ("", "[]", "null", '["2026", "\0"]', '["0000", ""]', "[" * 9_000)
    ),
    *(
        f"/api/queue?order=newest&limit=5&query={quote(query)}"
        for query in (
            "'",
            "a",
            "\0",
            "unreadable:",
            "label:\0",
            "score>" + "9" * 9_000,
            "p<1 " * 99,
        )
    ),
    *(f"/api/news{query}" for query in ("", "?since=", "?since=-1", f"?since={2**63}", "?since=x")),
    *(f"/api/threshold?rate={rate}" for rate in ("", "nan", "inf", "0", "-0.1", "0.6", "1_0")),
    *("/api/threshold", "/api/matching?query=tag:odd", "/api/matching?query=%00"),
]
UNKNOWN = [*("%00", "%ed%a0%80", "%ff", "x", "%0a", "A" * 64, "%2e%2e"), "a" * 30_000]


def test_no_body_is_more_than_wrong(known: Known) -> None:
    with line(known.port, known.prefix) as asking:
        for path, bodies in (
            ("/api/reviews", [*BODIES, *WORDS]),
            ("/api/undo", BODIES),
            ("/api/rate", [*BODIES, *RATES]),
        ):
            for body in bodies:
                reply = asking.ask("POST", path, [*known.ours, JSON], body)
                assert reply.status == 400, (path, body[:100], reply)
                assert list(json.loads(reply.body)) == ["error"]
                assert len(reply.body) < 500, body[:100]
    assert known.untouched()


def test_no_address_is_more_than_wrong(known: Known) -> None:
    with line(known.port, known.prefix) as asking:
        for target in TARGETS:
            reply = asking.ask("GET", target, known.ours)
            assert reply.status == 400, (target[:100], reply)
            assert list(json.loads(reply.body)) == ["error"]
        for name in UNKNOWN:
            for path in ("/api/image/", "/preview/", "/static/"):
                reply = asking.ask("GET", path + name, known.ours)
                assert reply.status == 404, path + name


def test_a_body_that_does_not_come_is_nothing_to_the_terminal(known: Known) -> None:
    for body in (b'{"as_of": 0', b"5\r\nshort"):
        with line(known.port, known.prefix) as asking:
            chunked = body[:1] == b"5"
            length = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", "100")
            head = [*known.ours, JSON, length]
            names = "".join(f"{name}: {value}\r\n" for name, value in head)
            asking.send(f"POST {known.prefix}/api/undo HTTP/1.1\r\n{names}\r\n".encode() + body)
            if chunked:
                asking.send(b"no chunk\r\n\r\n")
                reply = asking.reply()
                assert reply is None or reply.status == 400
    assert known.untouched()
