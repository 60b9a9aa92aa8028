"""What the page asks of a project, as JSON types: the desk of one reviewer.

Names come from strangers: they go through `shown` here, and the page sets them as text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

from curate.catalog.detail import levels, methods
from curate.catalog.figures import figures
from curate.catalog.query import Query, parse
from curate.catalog.reviews import Word
from curate.catalog.store import ImageRow
from curate.errors import UsageError
from curate.export.rows import record, shown_path
from curate.model.alarms import alarm_interval, alarm_rank
from curate.review.nearest import nearest
from curate.status import fewest_calibration, share, share_interval
from curate.tagging import choose_rate, is_sha256, judge, new_class, undo
from curate.workspace import Workspace

Answer = dict[str, Any]
PAGE = 200
"""Images on one page, at most."""
STRIP = 24
"""Images shown of those that another rate would have change sides."""
AT_ONCE = 100_000
"""Images that one judgement takes, at most: the catalog is written meanwhile, by nobody else."""
NEWS = 500
"""Changed images that are told one by one; beyond, the page is to be read anew."""
BINS = 72
HIGHEST_RATE = 0.5
UPLOADS = 2_000
"""Of our classes, among which the false alarms are counted that people are to expect."""
_NAMES = ("path", "source", "label", "reviewed_by")


@dataclass(frozen=True)
class Desk:
    """What one reviewer sees and says; every method is one request, in any thread."""

    workspace: Workspace
    reviewer: str
    shown: Callable[[str], str]
    """Makes a name fit to be read."""

    def page(self, order: str, query: str, cursor: str | None, limit: int) -> Answer:
        """Images of a queue after `cursor`, and the step as of which they are shown.

        The first page says how things stand, too.
        """
        catalog, step = self.workspace.catalog, self.workspace.catalog.reviews.last_step()
        found = catalog.queues.page(order, _images(query), cursor, max(1, min(limit, PAGE)))
        return {
            "rows": self._rows(found.rows),
            "cursor": found.cursor,
            "step": step,
            "standing": self.standing() if cursor is None else None,
        }

    def image(self, sha256: str) -> Answer | None:
        """All that is known of an image; None where there is none."""
        catalog = self.workspace.catalog
        rows = self._rows(catalog.queues.rows([sha256])) if is_sha256(sha256) else []
        if not rows:
            return None
        places = catalog.places(sha256)
        return {
            "row": rows[0],
            "methods": asdict(methods(catalog.engine, sha256)),
            "places": [self.shown(shown_path(root, path)) for root, path in places],
            "history": [self._word(word) for word in catalog.reviews.history(sha256)],
            "neighbours": [
                {"sha256": name, "class": None if label is None else self.shown(label)}
                for name, label in nearest(self.workspace, sha256)
            ],
        }

    def standing(self) -> Answer:
        """Counts, the rate in force and the OOD share that it speaks for."""
        catalog = self.workspace.catalog
        counts, rate = catalog.counts(), catalog.rates.current()
        calibration = fewest_calibration(self.workspace)
        return {
            "images": counts.images,
            "id": counts.id,
            "ood": counts.ood,
            "pending": counts.pending,
            "reviewed": counts.reviewed,
            "reviewed_ood": counts.reviewed_ood,
            "rate": rate,
            "share": share(counts, rate),
            "share_interval": share_interval(counts, calibration, rate),
            "detector": catalog.models.active("detector"),
        }

    def news(self, since: int) -> Answer:
        """What was said after step `since`, by whomever, and how things stand."""
        return self._changes(since) | {"standing": self.standing()}

    def scores(self) -> Answer:
        """A histogram of the scores, and the rates at which something changes."""
        catalog = self.workspace.catalog
        detector = catalog.models.active("detector")
        scores = catalog.score_sample(detector) if detector else []
        found = levels(catalog.engine, HIGHEST_RATE)
        return {
            "histogram": histogram(scores) if scores else None,
            "levels": [[level.p_value, level.number, level.lowest] for level in found],
            "rate": catalog.rates.current(),
        }

    def threshold(self, rate: float) -> Answer:
        """What another rate would mean: images that change sides, and the alarms to expect."""
        _check_rate(rate)
        changing = self.workspace.catalog.queues.changing_sides(rate, STRIP)
        return {"rate": rate, "rows": self._rows(changing), "expected": self._expected(rate)}

    def choose(self, said: Mapping[str, Any]) -> Answer:
        """Tag by another rate from now on."""
        choose_rate(self.workspace, str(_check_rate(said.get("rate"))))
        return {"standing": self.standing()}

    def matching(self, query: str) -> Answer:
        """How many images a query means, and how many of these a person has judged."""
        asked, engine = _images(query), self.workspace.catalog.engine
        step = self.workspace.catalog.reviews.last_step()
        images = figures(engine, asked).images
        judged = (
            0 if asked.reviewed is False else figures(engine, replace(asked, reviewed=True)).images
        )
        counts = {"images": images, "reviewed": judged, "at_once": AT_ONCE}
        return counts | {"step": step, "tagged_by": self._tagged_by()}

    def judge(self, said: Mapping[str, Any]) -> Answer:
        """Record a word on images, named or meant by a query; answers with what changed meanwhile.

        Where `most` is said, a query that means more images than that is refused.
        What others have said since step `as_of` stays, and is told as passed over.
        """
        as_of, verdict = whole(said.get("as_of"), "as_of"), _text(said, "verdict")
        class_name = _text(said, "class") if said.get("class") is not None else None
        hashes = self._meant(said)
        done = judge(self.workspace, hashes, verdict, class_name, self.reviewer, as_of)
        doubt = new_class(self.workspace, class_name) if class_name else None
        return self._changes(as_of) | {
            "images": len(hashes) - len(done.passed_over),
            "passed_over": len(done.passed_over),
            "left": sorted(done.passed_over)[:NEWS],
            "doubt": doubt,
        }

    def undo(self, said: Mapping[str, Any]) -> Answer:
        """Take back the reviewer's last step that still stands."""
        as_of = whole(said.get("as_of"), "as_of")
        undone = undo(self.workspace, self.reviewer)
        return {"images": len(undone), "undone": undone[:NEWS]} | self._changes(as_of)

    def classes(self) -> list[str]:
        """The classes of the network in service."""
        return self.workspace.catalog.models.classes()

    def _meant(self, said: Mapping[str, Any]) -> Sequence[str]:
        if "query" in said:
            tagged_by = self._tagged_by()
            if said.get("tagged_by", tagged_by) != tagged_by:
                raise UsageError(
                    "another network or alarm rate tags by now; nothing was recorded. "
                    "Select them anew"
                )
            images = self.workspace.catalog.iter_images(_images(_text(said, "query")))
            meant = [row.sha256 for row in islice(images, AT_ONCE)]
            if "most" in said and len(meant) > whole(said["most"], "most"):
                raise UsageError("more images match by now; nothing was recorded. Select them anew")
            return meant
        hashes = said.get("images")
        if not isinstance(hashes, list) or not all(isinstance(name, str) for name in hashes):
            raise UsageError("a judgement names its images, or a query that means them")
        return list(dict.fromkeys(hashes))

    def _changes(self, since: int) -> Answer:
        """The step now, and images on which there is a word after `since`, as they stand now."""
        reviews = self.workspace.catalog.reviews
        step = reviews.last_step()
        hashes = reviews.since(since, NEWS + 1) if step > since else []
        rows = self.workspace.catalog.queues.rows(hashes[:NEWS])
        return {"step": step, "changes": self._rows(rows), "many": len(hashes) > NEWS}

    def _expected(self, rate: float) -> Answer | None:
        """Which share of uploads of our classes is flagged: on average, and in 99 % of networks."""
        count = fewest_calibration(self.workspace)
        if count is None:
            return None
        low, high = alarm_interval(count, UPLOADS, rate)
        mean = alarm_rank(count, rate) / (count + 1)
        return {"mean": mean, "low": low, "high": high, "calibration": count}

    def _tagged_by(self) -> str:
        """What tags are made with: a query of them means other images with another."""
        catalog = self.workspace.catalog
        return f"{catalog.models.active('detector')} {catalog.rates.current()}"

    def _rows(self, rows: Sequence[ImageRow]) -> list[Answer]:
        """As in an export, but without a confidence where the class is a person's."""
        judged = [row.sha256 for row in rows if row.reviewed_by is not None]
        told = self.workspace.catalog.reviews.classed(judged) if judged else set[str]()
        return [
            self._named(record(row) | ({"confidence": None} if row.sha256 in told else {}))
            for row in rows
        ]

    def _named(self, row: Answer) -> Answer:
        return row | {name: self.shown(row[name]) for name in _NAMES if row[name] is not None}

    def _word(self, word: Word) -> Answer:
        return {
            "verdict": word.verdict,
            "class": None if word.class_name is None else self.shown(word.class_name),
            "reviewer": self.shown(word.reviewer),
            "at": word.reviewed_at.isoformat(),
            "undoes": word.undoes,
        }


def histogram(scores: Sequence[float]) -> Answer:
    """Counts of scores in BINS even steps from the lowest to the highest."""
    low, high = min(scores), max(scores)
    step = (high - low) / BINS or 1.0
    bins = [0] * BINS
    for score in scores:
        bins[min(int((score - low) / step), BINS - 1)] += 1
    return {"low": low, "high": low + BINS * step, "bins": bins, "images": len(scores)}


def whole(value: object, name: str) -> int:
    """The number that `name` is to have; raises UsageError for what a catalog cannot count."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
        raise UsageError(f"{name} is to be a whole number")
    return value


def _check_rate(given: object) -> float:
    if not isinstance(given, float) or not 0 < given <= HIGHEST_RATE:
        raise UsageError(f"a rate is a share above 0 and up to {HIGHEST_RATE}")
    return given


def _images(query: str) -> Query:
    asked = parse(query)
    if asked.unreadable:
        raise UsageError("unreadable: names files that are no images; `curate list` shows them")
    return asked


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    if not isinstance(value, str):
        raise UsageError(f"{name} is to be text")
    return value
