"""The page's server on 127.0.0.1: headers on every answer, and deadlines for slow clients."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import closing
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from curate.errors import UsageError
from curate.review.doors import HOST, Door

HEADERS = [
    (
        "content-security-policy",
        "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("cache-control", "no-store"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("referrer-policy", "same-origin"),
    ("x-frame-options", "DENY"),
]
"""Of every answer, errors of the protocol included."""
REQUEST_SECONDS = 10
"""A whole request must have come in that time."""
ANSWER_SECONDS = 30
"""A client that takes nothing for so long is left."""
IDLE_SECONDS = 60
CONNECTIONS = 64
"""Beyond, requests are answered with 503."""
REFUSED = 256
"""Beyond, connections are closed at once."""
HEAD_BYTES = 65_536
"""A browser sends the cookies of every server on this machine along."""


class Protocol(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it, with the headers on its own errors, and with deadlines."""

    _deadline: asyncio.TimerHandle | None = None
    _blocked: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A request is to come soon."""
        super().connection_made(transport)
        # Whatever the client has not taken yet counts, also when the connection is to be closed.
        transport.set_write_buffer_limits(0)
        self._await_request()
        if len(self.connections) > REFUSED:
            transport.abort()

    def handle_events(self) -> None:
        """Part of a request; the rest is to come before the deadline that its first byte set."""
        super().handle_events()
        state = self.conn.their_state
        if state is not h11.SEND_BODY and not (state is h11.IDLE and self.conn.trailing_data[0]):
            _end(self._deadline)
            self._deadline = None
        elif self._deadline is None:
            self._await_request()

    def timeout_keep_alive_handler(self) -> None:
        """Nothing came for long; a client that takes nothing either is not waited for."""
        self.transport.abort()

    def pause_writing(self) -> None:
        """The client takes less than it asked for."""
        super().pause_writing()
        self._blocked = self.loop.call_later(ANSWER_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It goes on."""
        super().resume_writing()
        _end(self._blocked)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is waited for any more."""
        for timer in (self._deadline, self._blocked):
            _end(timer)
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Say that this is no HTTP, unless an answer to a request before it is under way."""
        if self.cycle is not None:
            self.cycle.disconnected = True  # its answer would come after this one
            self.cycle.message_event.set()
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()
            return
        body = f"{msg}\n".encode()
        named = [*_ENCODED, (b"content-type", b"text/plain; charset=utf-8")]
        ends = [(b"content-length", str(len(body)).encode()), (b"connection", b"close")]
        response = h11.Response(status_code=400, headers=[*named, *ends], reason=b"Bad Request")
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _await_request(self) -> None:
        self._deadline = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)


_ENCODED = [(name.encode(), value.encode()) for name, value in HEADERS]


def _end(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def serve(app: ASGIApp, port: int, on_address: Callable[[str], None]) -> None:
    """Serve until a signal; `on_address` is told each address that opens the page, once.

    Port 0 is any that is free. Raises UsageError for a port that cannot be had.
    """
    logging.getLogger("uvicorn.error").addFilter(_is_bug)
    with closing(_listening(port)) as listener:
        door = Door(app, listener.getsockname()[1], on_address)
        uvicorn.Server(_config(door)).run(sockets=[listener])


def _is_bug(record: logging.LogRecord) -> bool:
    """Whether the terminal should show it; a request that a signal ended is none."""
    error = record.exc_info[1] if record.exc_info else None
    return error is not None and not isinstance(error, asyncio.CancelledError)


def _config(door: Any) -> uvicorn.Config:
    return uvicorn.Config(
        door,
        http=Protocol,
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        headers=HEADERS,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=2,
        h11_max_incomplete_event_size=HEAD_BYTES,
    )


def _listening(port: int) -> socket.socket:
    # With its protocol named, asyncio turns Nagle's algorithm off: 40 ms for every answer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise UsageError(
            f"port {port} of {HOST} cannot be had: {error.strerror}; give another one to --port"
        ) from error
    return listener
