"""How often the detector really errs, by a random sample of the inbox that a person judges.

Calibration on the labeled folder holds while uploads look like it. Calibrated with the sample's own
images instead, the alarm rate holds on an inbox that has drifted, for as long as it stays there.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from itertools import takewhile

from curate.catalog.audits import AuditedImage, AuditRow
from curate.catalog.query import parse
from curate.errors import NoCheckpoint, UsageError
from curate.model.proportion import Share, clopper_pearson
from curate.workspace import Workspace, hold


@dataclass(frozen=True)
class Audited:
    """What a sample says of the detector in service, at the alarm rate in force.

    Only images before the first that nobody has judged count, for the others may have been picked:
    the order of the sample is random.
    """

    drawn_at: datetime
    query: str
    images: int
    judged: int
    rate: float
    alarms: Share | None
    """Of images of our classes, those that the detector flags; exact 95 % intervals."""
    recall: Share | None
    """Of OOD images, those that it flags."""
    ood_share: Share | None
    recalibrated_at: datetime | None

    @property
    def finished(self) -> bool:
        """Whether every image was judged."""
        return self.judged == self.images

    @property
    def drifted(self) -> bool:
        """Whether more of our classes is flagged than was asked for, and that is not chance."""
        return self.alarms is not None and self.alarms.low > self.rate


def draw(workspace: Workspace, query: str, images: int) -> int:
    """Draw a new sample of what `query` means; returns how many images it has.

    Raises NoCheckpoint before there is a detector, and UsageError where nothing is meant, or
    the query asks for what an audit finds out.
    """
    if workspace.catalog.models.active("detector") is None:
        raise NoCheckpoint()
    asked = parse(query)
    if asked.tag or asked.comparisons or asked.reviewed is not None:
        raise UsageError(
            "of images chosen by tag, score, p or reviewed no rate can be told; leave these out"
        )
    start, now = secrets.token_hex(32), datetime.now(UTC)
    drawn = workspace.catalog.audits.draw(asked, query, images, start, now)
    if not drawn:
        raise UsageError("no image with a score is meant; nothing was drawn")
    return drawn


def audited(workspace: Workspace) -> Audited:
    """What the last sample says; raises UsageError before one is drawn."""
    sample, images = _sample(workspace)
    rate, counted = workspace.catalog.rates.current(), _counted(images)
    ours = [_flagged(image, rate) for image in counted if image.verdict == "id"]
    theirs = [_flagged(image, rate) for image in counted if image.verdict == "ood"]
    return Audited(
        drawn_at=sample.drawn_at,
        query=sample.query,
        images=len(images),
        judged=len(counted),
        rate=rate,
        alarms=_share(ours),
        recall=_share(theirs),
        ood_share=_share([image.verdict == "ood" for image in counted]),
        recalibrated_at=sample.recalibrated_at,
    )


def recalibrate(
    workspace: Workspace,
    device: str,
    on_images: Callable[[int, int], None] = lambda done, total: None,
) -> str:
    """Calibrate the detector in service with the last sample's images of our classes.

    Every image is scored anew and read against them; the next fine-tunes and trainings are
    calibrated with them too. Returns the id of the recalibrated detector. Raises UsageError unless
    the sample is judged to its end and holds enough images of our classes, HeldByAnother while a
    fine-tune runs.
    """
    from curate.labeled import keep_checkpoint
    from curate.model import checkpoint as checkpoints
    from curate.model.checkpoint import Draft
    from curate.score import LEASE, Scorer

    with hold(workspace, LEASE, "the recalibration") as lease:
        sample, images = _sample(workspace)
        detector = workspace.catalog.models.active("detector")
        if detector is None:
            raise NoCheckpoint()
        made, network, reference = checkpoints.load(workspace.checkpoints / detector)
        scores = _scores(workspace, images, made.pool)
        facts = {item.name: getattr(made, item.name) for item in fields(Draft)}
        facts |= {
            "kind": "finetuned",
            "parent": made.parent or made.id,
            "recipe": "recalibrated",
            "calibration": {**made.calibration, **scores},
        }
        kept = keep_checkpoint(workspace, network, reference, Draft(**facts))
        reason = f"calibrated with {sum(map(len, scores.values()))} images of an audit"
        scorer = Scorer(workspace, device)
        # First of all: a kill after the switch must not leave the sample to be trained on.
        workspace.catalog.audits.recalibrated(sample.seq, datetime.now(UTC))
        scorer.put_in_service({"detector": kept.id}, reason, (LEASE, lease.fence), on_images)
    return kept.id


def _scores(
    workspace: Workspace, images: Sequence[AuditedImage], pool: frozenset[str]
) -> dict[str, tuple[float, ...]]:
    """Scores of the sample's images of our classes, apart by whether they were fine-tuned on.

    Those that were are treated as the rest of that pool, the others as what comes later. A side
    with too few keeps what it is read against.
    """
    from curate.model.calibration import smallest_calibration

    if len(_counted(images)) < len(images):
        left = len(images) - len(_counted(images))
        raise UsageError(
            f"{left} of the sample's {len(images)} images are not judged yet, and some alone would "
            "be no random sample; go on in `curate review`, queue audit sample"
        )
    sides: dict[str, list[float]] = {"held_out": [], "canary": []}
    for image in images:
        if image.verdict == "id" and image.score is not None:
            sides["canary" if image.sha256 in pool else "held_out"].append(image.score)
    needed = smallest_calibration(workspace.catalog.rates.current())
    enough = {name: tuple(scores) for name, scores in sides.items() if len(scores) >= needed}
    if not enough:
        most = max(map(len, sides.values()))
        raise UsageError(
            f"{most} images of your classes in the sample are too few, this alarm rate needs "
            f"{needed}; draw a larger sample with `curate audit --images`"
        )
    return enough


def _sample(workspace: Workspace) -> tuple[AuditRow, tuple[AuditedImage, ...]]:
    sample = workspace.catalog.audits.latest()
    if sample is None:
        raise UsageError("no sample is drawn yet; draw one with `curate audit --images 200`")
    return sample, workspace.catalog.audits.images(sample.seq)


def _counted(images: Sequence[AuditedImage]) -> list[AuditedImage]:
    return list(takewhile(lambda image: image.verdict is not None, images))


def _flagged(image: AuditedImage, rate: float) -> bool:
    return image.p_value is not None and image.p_value <= rate


def _share(hits: Sequence[bool]) -> Share | None:
    if not hits:
        return None
    return Share(sum(hits) / len(hits), *clopper_pearson(sum(hits), len(hits)), len(hits))
