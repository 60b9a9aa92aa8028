"""The routes of the review page; what they answer is the desk's."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import PurePath
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from curate.errors import CurateError, UsageError
from curate.review.desk import Desk, whole

BODY_BYTES = 1_000_000
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_PICTURES = {b"\xff\xd8": "image/jpeg", b"\x89P": "image/png"}
_ASSETS = {
    file.name: file.read_bytes()
    for file in files("curate.review").joinpath("static").iterdir()
    if PurePath(file.name).suffix in _TYPES
}
"""Held in memory, so that no request names a file."""
QUEUES = {
    "highest": "most unusual first",
    "threshold": "nearest the threshold",
    "disagreement": "methods disagree",
    "newest": "newest first",
    "random": "at random",
    "audit": "audit sample",
}


@dataclass(frozen=True)
class Routes:
    """One method for each address."""

    desk: Desk

    def page(self, request: Request) -> Response:
        """The page itself."""
        templates = Environment(
            loader=PackageLoader("curate.review"), autoescape=True, undefined=StrictUndefined
        )
        desk = self.desk
        return HTMLResponse(
            templates.get_template("page.html").render(
                reviewer=desk.shown(desk.reviewer), queues=QUEUES, classes=desk.classes()
            )
        )

    def asset(self, request: Request) -> Response:
        """A script or style of the page."""
        name = request.path_params["name"]
        if name not in _ASSETS:
            raise HTTPException(404)
        return Response(_ASSETS[name], media_type=_TYPES[PurePath(name).suffix])

    def preview(self, request: Request) -> Response:
        """The preview of an image, made anew from its pixels when it was catalogued."""
        content = self.desk.workspace.previews.get(request.path_params["sha256"])
        if content is None or content[:2] not in _PICTURES:
            raise HTTPException(404)
        return Response(content, media_type=_PICTURES[content[:2]])

    def queue(self, request: Request) -> Response:
        """Images of a queue, a page at a time."""
        asked = request.query_params
        limit = _whole(asked, "limit")
        order, query = asked.get("order", ""), asked.get("query", "")
        return JSONResponse(self.desk.page(order, query, asked.get("cursor"), limit))

    def image(self, request: Request) -> Response:
        """All that is known of an image."""
        found = self.desk.image(request.path_params["sha256"])
        if found is None:
            raise HTTPException(404)
        return JSONResponse(found)

    def news(self, request: Request) -> Response:
        """What has changed since a step."""
        return JSONResponse(self.desk.news(_whole(request.query_params, "since")))

    def scores(self, request: Request) -> Response:
        """Histogram and rates."""
        return JSONResponse(self.desk.scores())

    def threshold(self, request: Request) -> Response:
        """What another rate would mean."""
        return JSONResponse(self.desk.threshold(_real(request.query_params, "rate")))

    def matching(self, request: Request) -> Response:
        """How many images a query means."""
        return JSONResponse(self.desk.matching(request.query_params.get("query", "")))

    async def judge(self, request: Request) -> Response:
        """Record a word."""
        return await _answered(request, self.desk.judge)

    async def undo(self, request: Request) -> Response:
        """Take the last step back."""
        return await _answered(request, self.desk.undo)

    async def rate(self, request: Request) -> Response:
        """Choose the false-alarm rate."""
        return await _answered(request, self.desk.choose)


def application(desk: Desk) -> Starlette:
    """The page of one reviewer; it relies on a Door before it."""
    to = Routes(desk)
    reading = {
        "/": to.page,
        "/static/{name}": to.asset,
        "/preview/{sha256}": to.preview,
        "/api/queue": to.queue,
        "/api/image/{sha256}": to.image,
        "/api/news": to.news,
        "/api/scores": to.scores,
        "/api/threshold": to.threshold,
        "/api/matching": to.matching,
    }
    writing = {"/api/reviews": to.judge, "/api/undo": to.undo, "/api/rate": to.rate}
    app = Starlette(
        routes=[
            *(Route(path, answer, methods=["GET"]) for path, answer in reading.items()),
            *(Route(path, answer, methods=["POST"]) for path, answer in writing.items()),
        ],
        exception_handlers={CurateError: _told, HTTPException: _told, Exception: _unexpected},
    )
    app.router.redirect_slashes = False
    return app


async def _answered(
    request: Request, answer: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> Response:
    said = await _object(request)
    return JSONResponse(await run_in_threadpool(answer, said))


async def _object(request: Request) -> dict[str, Any]:
    """The JSON object that a request brings; raises UsageError for anything else."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise HTTPException(415, "send application/json")
    try:
        said = json.loads(await _body(request), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise UsageError("that is no JSON") from error
    except ClientDisconnect as error:
        raise UsageError("the request ends before its end") from error
    if not isinstance(said, dict):
        raise UsageError("that is no JSON object")
    return said


async def _body(request: Request) -> bytearray:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_BYTES:
            raise HTTPException(413, f"at most {BODY_BYTES:,} bytes")
    return body


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _whole(asked: Mapping[str, str], name: str) -> int:
    try:
        return whole(int(asked[name]), name)
    except (KeyError, ValueError) as error:
        raise UsageError(f"{name} is to be a whole number") from error


def _real(asked: Mapping[str, str], name: str) -> float:
    try:
        return float(asked[name])
    except (KeyError, ValueError) as error:
        raise UsageError(f"{name} is to be a number") from error


async def _told(request: Request, error: Exception) -> Response:
    """An error as the page shows it: one line that says what to do."""
    if isinstance(error, HTTPException):
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)
    message = str(error).encode("utf-8", "backslashreplace").decode()
    return JSONResponse({"error": message}, 400 if isinstance(error, UsageError) else 503)


async def _unexpected(request: Request, error: Exception) -> Response:
    """The page is told that there was an error; the terminal is told all, by the server."""
    said = {"error": "an error of the page; the terminal says more"}
    return JSONResponse(said, 500, {"connection": "close"})
