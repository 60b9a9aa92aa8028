"""The errors that a person sees: one finished line each, and an exit code.

CurateError                     1  the run failed
├── UsageError                  2  an argument cannot be meant that way
│   ├── LabeledFolderError      2  the labeled folder is not one sub-folder of images per class
│   ├── PicturesError           2  a folder holds no images that can be evaluated
│   └── InboxError              2  the inbox is missing, a file, or holds the catalog
├── UnreadableInputs            3  some inputs could not be read, and --strict was given
├── NotReady                    4  something has to exist first
│   ├── NoCatalog               4  there is no catalog here
│   └── NoCheckpoint            4  the catalog holds no trained network
├── HeldByAnother               5  another process holds the inbox or the fine-tune
├── StorageError                6  full, read-only, not permitted, or of a newer version
│   └── CatalogTooNew           6  the catalog was written by a newer curate
├── CheckpointRefused           7  a checkpoint is not what it was when it was made
└── GateNotMet                  8  a bound that `curate check` was given is not met
"""

from __future__ import annotations

from pathlib import Path


class CurateError(Exception):
    """Something went wrong that a person can act on; `str()` is the finished message."""

    exit_code = 1


class UsageError(CurateError):
    """An argument cannot be meant that way."""

    exit_code = 2


class LabeledFolderError(UsageError):
    """`path` is not a folder with one sub-folder of images per class."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"labeled folder {str(path)!r}: {reason}")
        self.path, self.reason = path, reason


class PicturesError(UsageError):
    """The folder `path` holds no images that can be evaluated."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"folder {str(path)!r}: {reason}")
        self.path, self.reason = path, reason


class InboxError(UsageError):
    """`path` cannot be read as an inbox."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"inbox {str(path)!r}: {reason}")
        self.path, self.reason = path, reason


class UnreadableInputs(CurateError):
    """`count` inputs could not be read, and the caller asked for all of them.

    `named` says which, or where to find them.
    """

    exit_code = 3

    def __init__(self, count: int, named: str) -> None:
        super().__init__(f"{count} input{'s' * (count != 1)} could not be read; {named}")
        self.count = count


class NotReady(CurateError):
    """Something has to exist first."""

    exit_code = 4


class NoCatalog(NotReady):
    """No catalog at `place`, nor above it."""

    def __init__(self, place: str) -> None:
        super().__init__(
            f"no catalog at {place!r}; make one with `curate train LABELED` or `curate ingest PATH`"
        )
        self.place = place


class NoCheckpoint(NotReady):
    """The catalog holds no network of the kind that is needed."""

    def __init__(self, what: str = "no trained network yet; run `curate train LABELED` first"):
        super().__init__(what)


class HeldByAnother(CurateError):
    """`what` is held by the process `pid` on `host`."""

    exit_code = 5

    def __init__(self, what: str, pid: int, host: str) -> None:
        super().__init__(
            f"{what} is held by process {pid} on {host}; wait for it or stop it, then try again"
        )
        self.what, self.pid, self.host = what, pid, host


class Superseded(CurateError):
    """A detector was made from a classifier that no longer serves."""

    def __init__(self) -> None:
        super().__init__("another classifier came into service meanwhile")


class StorageError(CurateError):
    """The place `path` cannot be written or read."""

    exit_code = 6

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"{str(path)!r}: {reason}")
        self.path, self.reason = path, reason


class CatalogTooNew(StorageError):
    """The catalog was written by a newer program."""

    def __init__(self, path: Path | str, found: int, known: int) -> None:
        super().__init__(
            path,
            f"the catalog has schema version {found}, this curate knows up to {known}; "
            "update curate",
        )
        self.found, self.known = found, known


class CheckpointRefused(CurateError):
    """The checkpoint at `path` must not be used."""

    exit_code = 7

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"checkpoint {str(path)!r} refused: {reason}; switch to another with "
            "`curate models use ID` or train again"
        )
        self.path, self.reason = path, reason


class GateNotMet(CurateError):
    """Of the bounds that `curate check` was given, those named in `bounds` are not met."""

    exit_code = 8

    def __init__(self, bounds: tuple[str, ...]) -> None:
        super().__init__(f"not met: {', '.join(bounds)}; `curate list` shows what stands behind it")
        self.bounds = bounds
