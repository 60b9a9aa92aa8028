"""HTTP as it goes over the wire, well made or not: what no client library would send."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from io import BufferedReader

from curate.review.server import HEADERS

Pair = tuple[str, str]


@dataclass(frozen=True)
class Reply:
    """A whole answer."""

    status: int
    headers: tuple[Pair, ...]
    body: bytes

    def all_of(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for key, value in self.headers if key == name]


class Line:
    """A connection to the server that is made anew when it has ended."""

    def __init__(self, port: int, prefix: str = "") -> None:
        self._port, self._prefix = port, prefix
        self._socket: socket.socket | None = None
        self._file: BufferedReader

    def ask(
        self, method: str, target: str, headers: Sequence[Pair] = (), body: bytes = b""
    ) -> Reply:
        """The answer to one request; every answer has the server's headers, each once."""
        self.send(request(method, self._prefix + target, headers, body))
        reply = self.reply(method)
        assert reply is not None, "the server hung up"
        return reply

    def send(self, content: bytes) -> None:
        """Bytes as they are."""
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=30)
            self._file = self._socket.makefile("rb")
        self._socket.sendall(content)

    def reply(self, method: str = "GET") -> Reply | None:
        """The next answer; None where the connection ends before its first byte."""
        try:
            first = self._file.readline()
        except ConnectionError:
            first = b""
        if not first:
            self.close()
            return None
        reply = _rest(self._file, first, method)
        check(reply)
        if "close" in reply.all_of("connection"):
            self.close()
        return reply

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._file.close()
            self._socket.close()
            self._socket = None

    @property
    def is_open(self) -> bool:
        """Whether the server has left it open, as far as its answers say."""
        return self._socket is not None


@contextmanager
def line(port: int, prefix: str = "") -> Iterator[Line]:
    """A line, closed at the end; `prefix` comes before whatever is asked for."""
    with closing(Line(port, prefix)) as made:
        yield made


def request(method: str, target: str, headers: Sequence[Pair] = (), body: bytes = b"") -> bytes:
    """The bytes of a request, with the length of its body if it has one."""
    length = [("Content-Length", str(len(body)))] if body else []
    head = [f"{method} {target} HTTP/1.1", *(f"{n}: {v}" for n, v in (*headers, *length)), "", ""]
    return "\r\n".join(head).encode("latin-1") + body


def check(reply: Reply) -> None:
    """Every answer has the server's headers, each once, and lets no other page read it."""
    for name, value in HEADERS:
        assert reply.all_of(name) == [value], (name, reply)
    assert not [name for name, _ in reply.headers if name.startswith("access-control")], reply
    assert reply.all_of("server") == []


def _rest(file: BufferedReader, first: bytes, method: str) -> Reply:
    version, status, _ = first.split(b" ", 2)
    assert version == b"HTTP/1.1"
    pairs = []
    while (text := file.readline().decode("latin-1").rstrip("\r\n")) != "":
        name, _, value = text.partition(":")
        pairs.append((name.lower(), value.strip()))
    if status == b"100":
        return _rest(file, file.readline(), method)
    return Reply(int(status), tuple(pairs), b"" if method == "HEAD" else _body(file, dict(pairs)))


def _body(file: BufferedReader, headers: dict[str, str]) -> bytes:
    if "transfer-encoding" not in headers:
        return file.read(int(headers["content-length"]))
    whole = b""
    while size := int(file.readline(), 16):
        whole += file.read(size)
        file.readline()
    file.readline()
    return whole
