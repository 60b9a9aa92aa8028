"""The small query language of list, review and export: `tag:ood label:shirt score>1.2 since:2d`.

Terms are joined by "and". A value with spaces stands in quotes: `path:"my photos"`.
"""

from __future__ import annotations

import difflib
import math
import re
import shlex
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal, cast

from curate.errors import UsageError

TAGS = ("id", "ood", "pending")
FIELDS = (
    "tag", "label", "score", "p", "source", "since", "format", "reviewed", "path", "exported",
    "unreadable"
)  # fmt: skip
_TERM = re.compile(r"(?P<field>[A-Za-z_]+)(?P<operator>:|<=|>=|<|>|=)(?P<value>.*)", re.DOTALL)
_AGE = re.compile(r"(?P<count>\d{1,6})(?P<unit>s|min|h|d|w)")
_UNITS = {"s": "seconds", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
# Bytes outside UTF-8 come as surrogates from U+DC80 on; no other one stands for anything.
_WRITTEN = re.compile(r"[^\0\ud800-\udc7f\udd00-\udfff]*")
LONGEST = 20_000
"""Characters of a query: the longest path there can be, percent-encoded, and more."""
MOST_BOUNDS = 20
_EXAMPLE = "an example: tag:ood label:shirt score>1.2 since:2d"

Operator = Literal["<", "<=", ">", ">="]


@dataclass(frozen=True)
class Comparison:
    """A bound on `score` or `p` (p-value); images without one do not match."""

    field: Literal["score", "p"]
    operator: Operator
    value: float


@dataclass(frozen=True)
class Query:
    """Which images; every part that is set must hold."""

    tag: str | None = None
    label: str | None = None
    source: str | None = None
    """Part of the source's root URI or of its plain text."""
    path: str | None = None
    """Part of the path below the root, as people write it."""
    format: str | None = None
    since: datetime | None = None
    """First seen at this moment or later."""
    reviewed: bool | None = None
    exported: bool | None = None
    """Whether a finished export has handed it on to a destination."""
    unreadable: bool = False
    """Unreadable files instead of images."""
    comparisons: tuple[Comparison, ...] = ()


def parse(text: str, now: datetime | None = None) -> Query:
    """Read a query; ages such as `since:2d` count back from `now` (None: this moment).

    Raises UsageError that names the term, and what may have been meant.
    """
    if len(text) > LONGEST:
        raise UsageError(f"a query of {len(text):,} characters; at most {LONGEST:,} are read")
    if not _WRITTEN.fullmatch(text):
        raise UsageError("the query holds NUL or half a character, which no name does")
    try:
        terms = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"the query {text!r} has a quote that is not closed") from error
    query, seen = Query(), set[str]()
    for term in terms:
        field, operator, value = _split(term)
        if field in seen and field not in ("score", "p"):
            raise UsageError(f"{field} is asked for twice; leave one out of {text!r}")
        seen.add(field)
        query = _narrowed(query, field, operator, value, now or datetime.now(UTC))
    if query.unreadable and len(seen) > 1:
        raise UsageError("unreadable: names files that are no images; it must stand alone")
    return query


def is_text(given: str) -> bool:
    """Whether an argument is text; bytes outside UTF-8 come as surrogates, which none holds."""
    return given.encode("utf-8", "ignore").decode() == given


def _split(term: str) -> tuple[str, str, str]:
    match = _TERM.fullmatch(term)
    if match is None:
        if term.lower() in FIELDS:
            raise UsageError(f"{term!r} needs a value after a colon; {_EXAMPLE}")
        raise UsageError(f"{term!r} is no term of a query; did you mean path:{term}? {_EXAMPLE}")
    field = match["field"].lower()
    if field not in FIELDS:
        raise UsageError(f"no field {match['field']!r}{_meant(field, FIELDS)}")
    return field, match["operator"], match["value"]


def _narrowed(query: Query, field: str, operator: str, value: str, now: datetime) -> Query:
    if field in ("score", "p"):
        bound = _comparison(field, operator, value)
        if len(query.comparisons) == MOST_BOUNDS:
            raise UsageError(f"score and p have more than {MOST_BOUNDS} bounds; leave some out")
        return replace(query, comparisons=(*query.comparisons, bound))
    if operator != ":":
        raise UsageError(f"{field} takes a colon: {field}:{value}; < and > are for score and p")
    if field == "unreadable":
        if value:
            raise UsageError(f"unreadable: takes no value, not {value!r}")
        return replace(query, unreadable=True)
    if not value:
        raise UsageError(f"{field}: needs a value; {_EXAMPLE}")
    if field not in ("path", "source") and not is_text(value):
        raise UsageError(f"{field}:{value} is no text in UTF-8; only paths may hold such bytes")
    return _with_value(query, field, value, now)


def _with_value(query: Query, field: str, value: str, now: datetime) -> Query:
    match field:
        case "tag":
            return replace(query, tag=_one_of(field, value, TAGS))
        case "reviewed":
            return replace(query, reviewed=_one_of(field, value, ("yes", "no")) == "yes")
        case "exported":
            return replace(query, exported=_one_of(field, value, ("yes", "no")) == "yes")
        case "since":
            return replace(query, since=_moment(value, now))
        case "format":
            return replace(query, format={"JPG": "JPEG"}.get(value.upper(), value.upper()))
        case "label":
            return replace(query, label=value)
        case "source":
            return replace(query, source=value)
        case _:
            return replace(query, path=value)


def _comparison(field: str, operator: str, value: str) -> Comparison:
    if operator not in ("<", "<=", ">", ">="):
        raise UsageError(f"{field} is compared: {field}>{value or '0.5'} or {field}<=...")
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"{field}{operator}{value}: {value!r} is no number")
    return Comparison(cast('Literal["score", "p"]', field), cast("Operator", operator), number)


def _one_of(field: str, value: str, choices: tuple[str, ...]) -> str:
    if value.lower() not in choices:
        raise UsageError(f"{field}:{value} does not exist{_meant(value.lower(), choices)}")
    return value.lower()


def _moment(value: str, now: datetime) -> datetime:
    """An age such as 2d, or an ISO 8601 date or time, in UTC where it names no zone."""
    age = _AGE.fullmatch(value)
    try:
        if age:
            return now - timedelta(**{_UNITS[age["unit"]]: int(age["count"])})
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"since:{value} is no age (30min, 3h, 2d, 1w) and no date (2026-01-31)"
        ) from error


def _meant(word: str, choices: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
    all_of = ", ".join(choices)
    return f"; did you mean {close[0]!r}? It is one of {all_of}" if close else f"; use {all_of}"
