"""Clients that take their time: each is left at its deadline, and others are served meanwhile."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress

import pytest
import uvicorn
from starlette.types import Message, Receive, Scope, Send

from curate.review import server

from ..program import wait_until
from .raw import Line, line, request

SHORT, LONG = 0.25, 300.0
LARGE = 30_000_000
HOST = [("Host", "127.0.0.1")]


class Running:
    """A server in a thread of its own, whose application answers by path."""

    def __init__(self, listener: socket.socket) -> None:
        self.port: int = listener.getsockname()[1]
        self._server = uvicorn.Server(server._config(answering))
        self._thread = threading.Thread(target=self._server.run, args=([listener],))

    @property
    def connections(self) -> list[server.Protocol]:
        """Those that it holds."""
        held = list(self._server.server_state.connections)
        return [one for one in held if isinstance(one, server.Protocol)]

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Run it, until the end."""
        self._thread.start()
        try:
            wait_until(lambda: self._server.started)
            yield
        finally:
            self._server.should_exit = True
            self._thread.join(30)
            assert not self._thread.is_alive()


async def answering(scope: Scope, receive: Receive, send: Send) -> None:
    """So many bytes as the path says; after the request's body, where it is to be read."""
    more: Message = {"more_body": scope["method"] == "POST"}
    while more.get("more_body"):
        more = await receive()
    size = int(scope["path"][1:])
    close = [(b"connection", b"close")] if scope["query_string"] == b"close" else []
    length = [(b"content-length", str(size).encode()), *close]
    await send({"type": "http.response.start", "status": 200, "headers": length})
    await send({"type": "http.response.body", "body": bytes(size)})


Start = Callable[..., Running]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts a server with deadlines of its own."""
    with ExitStack() as stack:

        def started(**changed: float) -> Running:
            long = dict.fromkeys(("REQUEST_SECONDS", "ANSWER_SECONDS", "IDLE_SECONDS"), LONG)
            for name, value in (long | changed).items():
                monkeypatch.setattr(server, name, value)
            listener = stack.enter_context(closing(server._listening(0)))
            # So little that hardly anything lies between the two sides.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
            running = Running(listener)
            stack.enter_context(running.serving())
            return running

        yield started


def others_are_served(running: Running) -> None:
    """A second client has its answer at once."""
    with line(running.port) as asking:
        reply = asking.ask("GET", "/3", HOST)
        assert (reply.status, reply.body) == (200, bytes(3))


def ends(asking: Line) -> bool:
    """Whether the server hangs up without a word."""
    return asking.reply() is None


@pytest.mark.parametrize(
    "sent",
    [
        b"G",
        b"GET /3 HTTP/1.1\r\nHost: 127.0",
        b"POST /3 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\nshort",
        b"POST /3 HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nsho",
        b"",
    ],
)
def test_a_request_that_does_not_come_to_its_end_is_left(start: Start, sent: bytes) -> None:
    running = start(REQUEST_SECONDS=SHORT)
    with line(running.port) as asking:
        asking.send(sent)
        others_are_served(running)
        assert ends(asking)
    wait_until(lambda: not running.connections)


@pytest.mark.parametrize("before", [b"GET /3 HTTP/1.1\r\nX: ", b"POST /3 HTTP/1.1\r\n"])
def test_drops_do_not_put_the_deadline_off(start: Start, before: bytes) -> None:
    running = start(REQUEST_SECONDS=SHORT)
    length = b"Host: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n" if before[:1] == b"P" else b""
    hung_up, dropping = threading.Event(), Line(running.port)

    def drip() -> None:
        try:
            dropping.send(before + length)
            while not hung_up.wait(SHORT / 20):
                dropping.send(b"a")
        except OSError:
            pass

    with closing(dropping):
        thread = threading.Thread(target=drip)
        thread.start()
        wait_until(lambda: running.connections, 30)
        others_are_served(running)
        wait_until(lambda: not running.connections, 30)
        hung_up.set()
        thread.join()


def test_a_request_after_another_has_a_deadline_of_its_own(start: Start) -> None:
    running = start(REQUEST_SECONDS=SHORT)
    with line(running.port) as asking:
        asking.send(request("GET", "/3", HOST) + b"GET /4 HT")
        reply = asking.reply()
        assert reply is not None
        assert reply.body == bytes(3)
        others_are_served(running)
        assert ends(asking)


def test_a_refused_body_is_read_no_longer_than_a_request(start: Start) -> None:
    running = start(REQUEST_SECONDS=SHORT)
    with line(running.port) as asking:
        asking.send(b"GET /3 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\na")
        reply = asking.reply()
        assert reply is not None
        assert reply.status == 200
        assert ends(asking)


@pytest.mark.parametrize(
    "more",
    [
        (),
        (("Connection", "upgrade"), ("Upgrade", "h2c")),
        (("Connection", "upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")),
    ],
)
def test_after_a_whole_request_no_deadline_is_left(
    start: Start, more: tuple[tuple[str, str], ...]
) -> None:
    running = start()
    with line(running.port) as asking:
        for size in (3, 4):
            reply = asking.ask("GET", f"/{size}", [*HOST, *more])
            assert (reply.status, reply.body) == (200, bytes(size))
            [connection] = running.connections
            assert connection._deadline is None
        asking.send(request("POST", "/5", [*HOST, ("Expect", "100-continue")], b"body"))
        after = asking.reply()
        assert after is not None
        assert after.body == bytes(5)
        assert [connection._deadline for connection in running.connections] == [None]


def test_an_idle_connection_is_ended(start: Start) -> None:
    running = start(IDLE_SECONDS=SHORT)
    with line(running.port) as asking:
        assert asking.ask("GET", "/3", HOST).status == 200
        others_are_served(running)
        assert ends(asking)


@pytest.mark.parametrize("target", [f"/{LARGE}", f"/{LARGE}?close", "/60000?close", "/60000"])
def test_who_takes_nothing_is_left(start: Start, target: str) -> None:
    running = start(ANSWER_SECONDS=SHORT)
    with closing(socket.socket()) as taking_nothing:
        taking_nothing.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1_024)
        taking_nothing.connect(("127.0.0.1", running.port))
        taking_nothing.sendall(request("GET", target, HOST))
        wait_until(lambda: any(one._blocked for one in running.connections), 30)
        others_are_served(running)
        wait_until(lambda: not running.connections, 30)


def test_who_takes_it_slowly_has_it_all(start: Start) -> None:
    running = start()
    with line(running.port) as asking:
        assert len(asking.ask("GET", "/1000000", HOST).body) == 1_000_000
        [connection] = running.connections
        wait_until(lambda: connection._blocked is None or connection._blocked.cancelled())


def test_so_many_connections_and_no_more(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "REFUSED", 10)
    running = start(REQUEST_SECONDS=SHORT, CONNECTIONS=5)
    address = ("127.0.0.1", running.port)
    with ExitStack() as stack:
        held = [stack.enter_context(closing(socket.create_connection(address))) for _ in range(20)]
        with line(running.port) as asking:
            with suppress(ConnectionError):
                asking.send(request("GET", "/3", HOST))
            assert ends(asking)
        wait_until(lambda: len(running.connections) <= 10)
        assert [one.recv(1) for one in held] == [b""] * 20
    wait_until(lambda: not running.connections)
    others_are_served(running)
