"""A request to an application without a server."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message


def answer_to(app: ASGIApp, path: str, query: str, host: str) -> int:
    """The status of the answer to a GET."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(b"host", host.encode())],
    }
    sent = list[Message]()

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    async def ask() -> None:
        await app(scope, receive, send)

    asyncio.run(ask())
    status: int = sent[0]["status"]
    return status
