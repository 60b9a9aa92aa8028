"""Column types that both databases keep alike, and what tables are made from."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    TIMESTAMP,
    BigInteger,
    Boolean,
    Dialect,
    Float,
    Integer,
    Text,
    TypeDecorator,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_WORD = 1 << 64


class UtcTime(TypeDecorator[datetime]):
    """A timezone-aware moment, kept as UTC without a zone; naive ones are refused."""

    impl = TIMESTAMP
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database."""
        return None if value is None else value.replace(tzinfo=UTC)


class Word(TypeDecorator[int]):
    """A 64-bit number of a file's stat, whose range begins at `lowest`, in a signed column.

    Inodes use all of an unsigned word, and times in nanoseconds pass 2**63 in the year 2262.
    """

    impl = BigInteger
    cache_ok = True

    def __init__(self, lowest: int) -> None:
        super().__init__()
        self.lowest = lowest

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:
        """To the database."""
        return None if value is None else (value + _WORD // 2) % _WORD - _WORD // 2

    def process_result_value(self, value: Any | None, dialect: Dialect) -> int | None:
        """From the database."""
        return value if value is None or value >= self.lowest else int(value) + _WORD


INODE = Word(0)
NANOSECONDS = Word(-(1 << 62))


class Base(DeclarativeBase):
    """Tables."""

    type_annotation_map = {  # noqa: RUF012  (SQLAlchemy's own name and form)
        str: Text(),
        int: Integer(),
        float: Float(),
        bool: Boolean(),
        datetime: UtcTime(),
    }


def key() -> Mapped[Any]:
    """A part of a primary key, which the program gives."""
    return mapped_column(primary_key=True, autoincrement=False)


def number_key() -> Mapped[Any]:
    """A key that counts up: BIGINT, as SQLite gives an INTEGER one itself."""
    return mapped_column(BigInteger, primary_key=True, autoincrement=False)
