"""A catalog's place and shape: find it, create it from `schema.sql`, bring it up to date.

Version 1 is `schema.sql`; each file of `migrations/` is a version more. Each is applied in one
transaction together with its row in schema_version.
"""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, func, inspect, select, text
from sqlalchemy.exc import DBAPIError

from curate import __version__
from curate.catalog.engine import copy_file, file_of, insert, make_engine, place_of, read, write
from curate.catalog.processes import sweep
from curate.catalog.store import Catalog
from curate.catalog.tables import SchemaVersion
from curate.durable import sync_folder, temporary_beside
from curate.errors import CatalogTooNew, NoCatalog, StorageError

PLACE = Path(".curate", "catalog.db")
MIGRATIONS = Path(__file__).parent / "migrations"
MOUNTS = Path("/proc/mounts")
_NETWORK = frozenset(
    [
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "davfs",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "smb3",
        "smbfs",
        "fuse.ceph",
        "fuse.davfs2",
        "fuse.gcsfuse",
        "fuse.glusterfs",
        "fuse.goofys",
        "fuse.juicefs",
        "fuse.mount-s3",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
    ]
)


@dataclass(frozen=True)
class Step:
    """What brings a catalog from `version` - 1 to `version`."""

    version: int
    file: Path

    def statements(self) -> list[str]:
        """The file's statements, without comments."""
        text = re.sub(r"--.*", "", self.file.read_text(encoding="utf-8"))
        return [part.strip() for part in text.split(";") if part.strip()]


def open_catalog(place: Path | str, *, create: bool, migrations: Path = MIGRATIONS) -> Catalog:
    """Open the catalog at `place`, a path or a URL, and bring it to this program's version.

    A SQLite file is backed up before each migration, beside it. Raises NoCatalog where there is
    none and `create` is false, CatalogTooNew, and StorageError where it cannot be used.
    """
    engine = make_engine(place)
    try:
        _check_place(engine, create)
        _bring_up(engine, create, steps(migrations))
    except BaseException:
        engine.dispose()
        raise
    return Catalog(engine)


def find_catalog(start: Path) -> Path:
    """The nearest `.curate/catalog.db` in `start` or above it; raises NoCatalog."""
    for folder in (start, *start.parents):
        if (folder / PLACE).is_file():
            return folder / PLACE
    raise NoCatalog(str(start))


def schema_file() -> Path:
    """`schema.sql`: beside this module once installed, in a checkout at the top."""
    installed = Path(__file__).with_name("schema.sql")
    return installed if installed.is_file() else Path(__file__).parents[2] / "schema.sql"


def steps(migrations: Path) -> list[Step]:
    """Every version in order; a migration is named NNNN_what.sql."""
    files = sorted(migrations.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    return [Step(1, schema_file()), *(Step(int(file.name[:4]), file) for file in files)]


def on_network_file_system(path: Path, mounts: Path = MOUNTS) -> bool:
    """Whether `path` lies on a network file system, as far as `mounts` tells (Linux)."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return False
    found, depth = "", -1
    place = path.resolve()
    for _, mount, kind, *_ in (line.split(" ") for line in lines):
        root = Path(re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), mount))
        if len(root.parts) >= depth and place.is_relative_to(root):
            found, depth = kind, len(root.parts)
    return found in _NETWORK


def _check_place(engine: Engine, create: bool) -> None:
    file = file_of(engine)
    if file is None:
        return
    if not create and not file.exists():
        raise NoCatalog(str(file))
    if on_network_file_system(file):
        raise StorageError(
            file,
            "this is a network file system, on which SQLite's locks do not hold and data would "
            "be lost; choose a local disk with --catalog, or a postgresql: address",
        )


def _bring_up(engine: Engine, create: bool, known: list[Step]) -> None:
    with read(engine) as connection:
        found = version(connection)
        _refuse_triggers(engine, connection)
    if found == 0 and not create:
        raise NoCatalog(place_of(engine))
    if found > known[-1].version:
        raise CatalogTooNew(place_of(engine), found, known[-1].version)
    for step in known:
        if step.version > found:
            _apply(engine, step)


def _refuse_triggers(engine: Engine, connection: Connection) -> None:
    """A file from a stranger may hold statements that would run with ours; we make none."""
    if file_of(engine) is None:
        return
    found = connection.scalar(text("SELECT min(name) FROM sqlite_master WHERE type = 'trigger'"))
    if found is not None:
        raise StorageError(
            place_of(engine),
            f"the catalog holds a trigger that curate did not make ({found!r}); somebody changed "
            "it: restore a backup, or drop the trigger if you know it",
        )


def version(connection: Connection) -> int:
    """The schema version of the catalog, 0 when there is none yet."""
    if not inspect(connection).has_table(SchemaVersion.__tablename__):
        return 0
    return connection.scalar(select(func.max(SchemaVersion.version))) or 0


def _apply(engine: Engine, step: Step) -> None:
    """Apply one step, unless another process was faster."""
    with write(engine) as connection:
        found = version(connection)
        if found >= step.version:
            return
        if found:
            _back_up(engine, step.version)
        elif file_of(engine) and inspect(connection).get_table_names():
            raise StorageError(
                place_of(engine), "this SQLite file belongs to something else; choose another"
            )
        _run(engine, connection, step)


def _run(engine: Engine, connection: Connection, step: Step) -> None:
    try:
        for statement in step.statements():
            connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
    except DBAPIError as error:
        raise StorageError(
            place_of(engine), f"{step.file.name} failed, nothing was changed: {error.orig}"
        ) from error
    connection.execute(
        insert(connection, SchemaVersion).values(
            version=step.version, applied_at=datetime.now(UTC), program=__version__
        )
    )


def _back_up(engine: Engine, before: int) -> None:
    """Copy what is committed to `catalog.db.before-vN`; the writer's lock keeps it still.

    What a process left that died at this is swept here, for the folder may be a backup's.
    """
    file = file_of(engine)
    if file is None:
        return
    kept = file.with_name(f"{file.name}.before-v{before}")
    sweep(kept.parent.glob(f"{glob.escape(kept.name)}.tmp-*"))
    temporary = temporary_beside(kept)
    try:
        copy_file(file, temporary)
        temporary.replace(kept)
        sync_folder(kept.parent)
    except (OSError, StorageError) as error:
        raise StorageError(kept, f"no backup, so no migration: {error}") from error
