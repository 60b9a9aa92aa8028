"""The catalog's shape: created whole, described truly, migrated safely, refused where due."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from curate.catalog.columns import Base
from curate.catalog.engine import make_engine, read, write
from curate.catalog.query import Query
from curate.catalog.schema import (
    find_catalog,
    on_network_file_system,
    open_catalog,
    schema_file,
    steps,
    version,
)
from curate.catalog.views import View
from curate.errors import CatalogTooNew, NoCatalog, StorageError, UsageError

from ..program import abandoned
from .cases import NOW, ROOT, Place, image, in_processes

ADDS = """
ALTER TABLE source ADD COLUMN note TEXT;
CREATE TABLE extra (name TEXT NOT NULL, PRIMARY KEY (name)); -- a comment; with that
"""
FAILS = (
    "CREATE TABLE more (name TEXT NOT NULL, PRIMARY KEY (name));\nINSERT INTO nowhere VALUES (1);"
)


def columns_of(place: Place, table: str) -> set[str]:
    engine = make_engine(place)
    with read(engine) as connection:
        found = inspect(connection)
        names = {c["name"] for c in found.get_columns(table)} if found.has_table(table) else set()
    engine.dispose()
    return names


def version_of(place: Place) -> int:
    engine = make_engine(place)
    with read(engine) as connection:
        found = version(connection)
    engine.dispose()
    return found


def stock(place: Place) -> None:
    catalog = open_catalog(place, create=True)
    catalog.add_images(catalog.source(ROOT, NOW), [image(1)], NOW)
    catalog.close()


def migrations(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, sql in files.items():
        (folder / f"{name.removeprefix('m')}.sql").write_text(sql)
    return folder


def test_the_classes_describe_what_the_schema_creates(place: Place) -> None:
    open_catalog(place, create=True).close()
    engine = make_engine(place)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
        found = inspect(connection)
        views = {name: {c["name"] for c in found.get_columns(name)} for name in ["current_tag"]}
    engine.dispose()
    assert views == {t.name: set(t.columns.keys()) for t in View.metadata.tables.values()}


def test_the_schema_is_found_beside_the_module_or_at_the_top() -> None:
    assert schema_file() == Path(__file__).parents[2] / "schema.sql"


def test_a_catalog_keeps_what_it_holds_when_opened_again(place: Place) -> None:
    stock(place)
    assert version_of(place) == 1
    again = open_catalog(place, create=True)
    assert again.counts().images == 1
    again.close()


def test_without_create_there_must_be_a_catalog(place: Place) -> None:
    with pytest.raises(NoCatalog):
        open_catalog(place, create=False)
    stock(place)
    open_catalog(place, create=False).close()


def test_the_nearest_catalog_above_is_found(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    with pytest.raises(NoCatalog):
        find_catalog(below)
    (tmp_path / ".curate").mkdir()
    (tmp_path / ".curate" / "catalog.db").touch()
    assert find_catalog(below) == tmp_path / ".curate" / "catalog.db"


def test_migrations_are_applied_in_order_and_once(place: Place, tmp_path: Path) -> None:
    stock(place)
    folder = migrations(tmp_path / "m", m0002_note=ADDS, m0003_more=FAILS.split(";")[0])
    assert [step.version for step in steps(folder)] == [1, 2, 3]
    for _ in range(2):
        catalog = open_catalog(place, create=False, migrations=folder)
        assert [row.path for row in catalog.iter_images(Query())] == ["1.jpg"]
        catalog.close()
    assert version_of(place) == 3
    assert "note" in columns_of(place, "source")
    assert columns_of(place, "more") == {"name"}


def test_a_new_catalog_gets_every_version(place: Place, tmp_path: Path) -> None:
    folder = migrations(tmp_path / "m", m0002_note=ADDS)
    open_catalog(place, create=True, migrations=folder).close()
    assert version_of(place) == 2
    assert columns_of(place, "extra") == {"name"}


def test_a_migration_that_fails_leaves_everything_as_it_was(place: Place, tmp_path: Path) -> None:
    stock(place)
    folder = migrations(tmp_path / "m", m0002_note=ADDS, m0003_fails=FAILS)
    with pytest.raises(
        StorageError, match=r"0003_fails.sql failed, nothing was changed: .*nowhere"
    ):
        open_catalog(place, create=False, migrations=folder)
    assert version_of(place) == 2
    assert columns_of(place, "more") == set()
    assert columns_of(place, "extra") == {"name"}


def test_a_migration_is_preceded_by_a_backup(tmp_path: Path) -> None:
    place = tmp_path / "catalog.db"
    stock(place)
    folder = migrations(tmp_path / "m", m0002_note=ADDS)
    open_catalog(place, create=False, migrations=folder).close()
    kept = tmp_path / "catalog.db.before-v2"
    with closing(sqlite3.connect(kept)) as backup:
        assert backup.execute("SELECT path FROM sighting").fetchall() == [("1.jpg",)]
        assert backup.execute("SELECT version FROM schema_version").fetchall() == [(1,)]
        assert backup.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert [path.name for path in tmp_path.glob("*.tmp-*")] == []


def test_what_a_killed_migration_left_is_swept(tmp_path: Path) -> None:
    """Wherever the catalog lies: a backup that is restored is brought up in its own folder."""
    place = tmp_path / "catalog.db"
    stock(place)
    left = abandoned(tmp_path / "catalog.db.before-v2")
    for path in (left, left.with_name(f"{left.name}-journal")):
        path.touch()
    folder = migrations(tmp_path / "m", m0002_note=ADDS)
    open_catalog(place, create=False, migrations=folder).close()
    assert [path.name for path in tmp_path.glob("*.tmp-*")] == []
    assert (tmp_path / "catalog.db.before-v2").is_file()


def test_without_a_backup_there_is_no_migration(tmp_path: Path) -> None:
    place = tmp_path / "catalog.db"
    stock(place)
    (tmp_path / "catalog.db.before-v2").mkdir()
    folder = migrations(tmp_path / "m", m0002_note=ADDS)
    with pytest.raises(StorageError, match="no backup, so no migration"):
        open_catalog(place, create=False, migrations=folder)
    assert version_of(place) == 1


@pytest.mark.parametrize("existing", [True, False])
def test_processes_that_migrate_at_once_do_it_once(
    place: Place, tmp_path: Path, existing: bool
) -> None:
    if existing:
        stock(place)
    folder = migrations(tmp_path / "m", m0002_note=ADDS)

    def migrate() -> None:
        open_catalog(place, create=True, migrations=folder).close()

    assert in_processes(*4 * [migrate]) == [0, 0, 0, 0]
    assert version_of(place) == 2
    if existing and isinstance(place, Path):
        with closing(sqlite3.connect(f"{place}.before-v2")) as backup:
            assert backup.execute("SELECT version FROM schema_version").fetchall() == [(1,)]


def test_a_newer_catalog_is_refused_with_both_versions(place: Place) -> None:
    stock(place)
    engine = make_engine(place)
    with write(engine) as connection:
        connection.execute(text("UPDATE schema_version SET version = 7"))
    engine.dispose()
    with pytest.raises(CatalogTooNew) as caught:
        open_catalog(place, create=True)
    assert (caught.value.found, caught.value.known) == (7, 1)


def test_another_programs_file_is_left_alone(tmp_path: Path) -> None:
    place = tmp_path / "other.db"
    with closing(sqlite3.connect(place)) as other:
        other.execute("CREATE TABLE preview (sha256 TEXT)")
    with pytest.raises(StorageError, match="belongs to something else"):
        open_catalog(place, create=True)
    assert columns_of(place, "source") == set()


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "notes.txt"
    place.write_text("not a database, but long enough to be taken for one" * 40)
    with pytest.raises(StorageError, match="not a catalog"):
        open_catalog(place, create=True)
    with pytest.raises(StorageError, match="cannot be opened"):
        open_catalog(tmp_path / "no" / "folder" / "catalog.db", create=True)


@pytest.mark.parametrize("place", ["mysql://host/db", "://", "sqlite://"])
def test_other_addresses_are_refused(place: str) -> None:
    with pytest.raises(UsageError):
        open_catalog(place, create=True)


def test_a_database_that_cannot_be_reached_is_said_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        open_catalog(f"postgresql://ann:secret@/db?host={tmp_path}", create=True)
    assert "PostgreSQL says" in str(caught.value)
    assert "secret" not in str(caught.value)


MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/export /mnt/nas nfs4 rw 0 0
/dev/sdb1 /mnt/nas/local\\040disk xfs rw 0 0
//box/share /mnt/my\\040share cifs rw 0 0
/dev/sdc1 /mnt/covered ext4 rw 0 0
ann@host: /mnt/covered fuse.sshfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "network"),
    [
        ("/home/ann/.curate/catalog.db", False),
        ("/mnt/nas/catalog.db", True),
        ("/mnt/nas2/catalog.db", False),
        ("/mnt/nas/local disk/catalog.db", False),
        ("/mnt/my share/a/catalog.db", True),
        ("/mnt/covered/catalog.db", True),
    ],
)
def test_network_file_systems_are_known(tmp_path: Path, path: str, network: bool) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS)
    assert on_network_file_system(Path(path), mounts) is network
    assert on_network_file_system(Path(path), tmp_path / "missing") is False


def test_a_catalog_on_a_network_file_system_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curate.catalog.schema.on_network_file_system", lambda _: True)
    with pytest.raises(StorageError, match="network file system"):
        open_catalog(tmp_path / "catalog.db", create=True)
    assert list(tmp_path.iterdir()) == []


def test_a_trigger_that_somebody_put_in_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "catalog.db"
    stock(file)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(
            "CREATE TRIGGER evil AFTER INSERT ON review BEGIN SELECT load_extension('x'); END"
        )
    with pytest.raises(StorageError, match="a trigger that curate did not make \\('evil'\\)"):
        open_catalog(file, create=False)
