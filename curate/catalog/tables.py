"""The rows of the catalog, typed for queries; `schema.sql` is what creates their tables.

A test compares the two with Alembic on SQLite and on PostgreSQL.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from curate.catalog.columns import INODE, NANOSECONDS, Base, key, number_key


class SchemaVersion(Base):
    """A version of the schema and when this catalog came to it."""

    __tablename__ = "schema_version"
    version: Mapped[int] = number_key()
    applied_at: Mapped[datetime]
    program: Mapped[str]


class Source(Base):
    """A folder that images come from."""

    __tablename__ = "source"
    __table_args__ = (UniqueConstraint("root_uri", name="source_root"),)
    source_id: Mapped[str] = key()
    root_uri: Mapped[str]
    added_at: Mapped[datetime]
    last_scan_at: Mapped[datetime | None]
    last_scan_files: Mapped[int | None] = mapped_column(BigInteger)
    watch_mode: Mapped[str | None]


class Image(Base):
    """A content that lay in an inbox."""

    __tablename__ = "image"
    __table_args__ = (Index("image_by_arrival", "first_seen", "sha256"),)
    sha256: Mapped[str] = key()
    format: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    bytes: Mapped[int] = mapped_column(BigInteger)
    first_seen: Mapped[datetime]


class Sighting(Base):
    """A place where a content was seen."""

    __tablename__ = "sighting"
    __table_args__ = (
        ForeignKeyConstraint(["source_id"], ["source.source_id"]),
        ForeignKeyConstraint(["sha256"], ["image.sha256"]),
        Index("sighting_by_content", "sha256"),
    )
    source_id: Mapped[str] = key()
    path: Mapped[str] = key()
    sha256: Mapped[str] = key()
    size: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(NANOSECONDS)
    ctime_ns: Mapped[int] = mapped_column(NANOSECONDS)
    inode: Mapped[int] = mapped_column(INODE)
    first_seen: Mapped[datetime]
    last_seen: Mapped[datetime]


class Unreadable(Base):
    """A file that is no readable image, with the reason."""

    __tablename__ = "unreadable"
    __table_args__ = (ForeignKeyConstraint(["source_id"], ["source.source_id"]),)
    source_id: Mapped[str] = key()
    path: Mapped[str] = key()
    reason: Mapped[str]
    policy: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(NANOSECONDS)
    ctime_ns: Mapped[int] = mapped_column(NANOSECONDS)
    inode: Mapped[int] = mapped_column(INODE)
    first_seen: Mapped[datetime]
    last_seen: Mapped[datetime]


class Snapshot(Base):
    """A labeled folder as it was read."""

    __tablename__ = "snapshot"
    snapshot_id: Mapped[str] = key()
    root: Mapped[str]
    taken_at: Mapped[datetime]


class LabeledImage(Base):
    """An image of a snapshot, with its class and split."""

    __tablename__ = "labeled_image"
    __table_args__ = (ForeignKeyConstraint(["snapshot_id"], ["snapshot.snapshot_id"]),)
    snapshot_id: Mapped[str] = key()
    sha256: Mapped[str] = key()
    class_name: Mapped[str]
    split: Mapped[str]
    path: Mapped[str]


class Checkpoint(Base):
    """A trained network."""

    __tablename__ = "checkpoint"
    __table_args__ = (
        ForeignKeyConstraint(["parent_id"], ["checkpoint.checkpoint_id"]),
        ForeignKeyConstraint(["snapshot_id"], ["snapshot.snapshot_id"]),
    )
    checkpoint_id: Mapped[str] = key()
    kind: Mapped[str]
    parent_id: Mapped[str | None]
    snapshot_id: Mapped[str]
    backbone: Mapped[str]
    recipe: Mapped[str]
    created_at: Mapped[datetime]
    figures: Mapped[str]


class Scoring(Base):
    """A checkpoint that every image is scored with."""

    __tablename__ = "scoring"
    __table_args__ = (ForeignKeyConstraint(["checkpoint_id"], ["checkpoint.checkpoint_id"]),)
    checkpoint_id: Mapped[str] = key()


class Pending(Base):
    """An image that a checkpoint has yet to score."""

    __tablename__ = "pending"
    __table_args__ = (
        ForeignKeyConstraint(["checkpoint_id"], ["scoring.checkpoint_id"]),
        ForeignKeyConstraint(["sha256"], ["image.sha256"]),
    )
    checkpoint_id: Mapped[str] = key()
    sha256: Mapped[str] = key()


class Activation(Base):
    """A checkpoint put in service."""

    __tablename__ = "activation"
    __table_args__ = (ForeignKeyConstraint(["checkpoint_id"], ["checkpoint.checkpoint_id"]),)
    role: Mapped[str] = key()
    seq: Mapped[int] = key()
    checkpoint_id: Mapped[str]
    activated_at: Mapped[datetime]
    reason: Mapped[str]


class Score(Base):
    """What a checkpoint says of an image."""

    __tablename__ = "score"
    __table_args__ = (
        ForeignKeyConstraint(["checkpoint_id"], ["checkpoint.checkpoint_id"]),
        ForeignKeyConstraint(["sha256"], ["image.sha256"]),
        Index("score_by_p_value", "checkpoint_id", "p_value", "score"),
        Index("score_by_score", "checkpoint_id", "score", "sha256"),
        Index("score_by_disagreement", "checkpoint_id", "disagreement", "sha256"),
    )
    checkpoint_id: Mapped[str] = key()
    sha256: Mapped[str] = key()
    score: Mapped[float]
    discrepancy: Mapped[float]
    msp: Mapped[float]
    energy: Mapped[float]
    knn: Mapped[float]
    disagreement: Mapped[float]
    label: Mapped[str]
    confidence: Mapped[float]
    p_value: Mapped[float]
    calibration: Mapped[str]
    nearest: Mapped[str]
    scored_at: Mapped[datetime]


class Review(Base):
    """A person's word on an image."""

    __tablename__ = "review"
    __table_args__ = (
        ForeignKeyConstraint(["sha256"], ["image.sha256"]),
        Index("review_by_step", "step"),
        Index("review_by_reviewer", "reviewer", "step"),
        Index("review_by_undone", "undoes"),
    )
    sha256: Mapped[str] = key()
    seq: Mapped[int] = key()
    verdict: Mapped[str]
    class_name: Mapped[str | None]
    reviewer: Mapped[str]
    reviewed_at: Mapped[datetime]
    step: Mapped[int]
    undoes: Mapped[int | None]


class HandedOn(Base):
    """An image that an export has handed on."""

    __tablename__ = "handed_on"
    __table_args__ = (ForeignKeyConstraint(["sha256"], ["image.sha256"]),)
    sha256: Mapped[str] = key()
    handed_on_at: Mapped[datetime]


class FinetuneRun(Base):
    """A fine-tune and what came of it."""

    __tablename__ = "finetune_run"
    __table_args__ = (
        ForeignKeyConstraint(["checkpoint_id"], ["checkpoint.checkpoint_id"]),
        Index("finetune_run_by_start", "started_at", "run_id"),
    )
    run_id: Mapped[str] = key()
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    recipe: Mapped[str]
    outcome: Mapped[str | None]
    reason: Mapped[str | None]
    figures: Mapped[str]
    images: Mapped[int]
    checkpoint_id: Mapped[str | None]
    pid: Mapped[int]
    host: Mapped[str]
    process_started: Mapped[str]


class Lease(Base):
    """Who may do what only one may do."""

    __tablename__ = "lease"
    name: Mapped[str] = key()
    what: Mapped[str]
    fence: Mapped[int] = mapped_column(BigInteger)
    pid: Mapped[int]
    host: Mapped[str]
    process_started: Mapped[str]
    acquired_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    released: Mapped[bool]


class Hook(Base):
    """That newly tagged images are to be told of, and what came of it."""

    __tablename__ = "hook"
    name: Mapped[str] = key()
    delivered: Mapped[int] = mapped_column(BigInteger)
    failures: Mapped[int] = mapped_column(BigInteger)
    last_delivered_at: Mapped[datetime | None]
    last_failed_at: Mapped[datetime | None]
    last_error: Mapped[str | None]


class Notice(Base):
    """An image that the hook has yet to be told of."""

    __tablename__ = "notice"
    __table_args__ = (
        ForeignKeyConstraint(["sha256"], ["image.sha256"]),
        Index("notice_by_age", "queued_at", "sha256"),
    )
    sha256: Mapped[str] = key()
    queued_at: Mapped[datetime]


class Total(Base):
    """How many rows of a kind there are, or images on which a verdict stands."""

    __tablename__ = "total"
    what: Mapped[str] = key()
    number: Mapped[int] = mapped_column(BigInteger)


class Tally(Base):
    """How many images of a verdict ("none" without one) have a p-value under a checkpoint."""

    __tablename__ = "tally"
    __table_args__ = (ForeignKeyConstraint(["checkpoint_id"], ["checkpoint.checkpoint_id"]),)
    checkpoint_id: Mapped[str] = key()
    verdict: Mapped[str] = key()
    p_value: Mapped[float] = key()
    number: Mapped[int] = mapped_column(BigInteger)
