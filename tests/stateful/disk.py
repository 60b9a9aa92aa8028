"""The inbox as the test fills it: every way in which its files change, and what has lain where.

Nothing here knows the program: what lies on the disk is read anew after each change.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .contents import FEW, grown, whole_bytes

NAMES = (
    "a.png",
    "A.png",
    "b/a.png",
    "b/c/\udcff\x1b[31m.png",
    "b/new\nline.jpg",
    "=1+1.png",
    "--help",
    "[red].png",
    "e\u0301.png",
    "\xe9.png",
    "b/%41.png",
    "b/no suffix",
    "tree/1.png",
    "tree/2.png",
)
IGNORED = ("up.png.part", ".hidden.png", "b/Thumbs.db", "@eaDir/a.png")
_IGNORED_PARTS = {"up.png.part", ".hidden.png", "Thumbs.db", "@eaDir"}
MTIMES = (0, -1_000_000_000, 4_300_000_000 * 10**9)
"""1970, before it, and 2106, in ns."""


def is_ignored(name: str) -> bool:
    """Whether the program has to leave a file alone that nobody named to it."""
    return not _IGNORED_PARTS.isdisjoint(Path(name).parts)


class Disk:
    """The folder `root`, its present files by relative name, and all that ever lay there."""

    def __init__(self, root: Path, outside: Path) -> None:
        self.root, self.outside = root, outside
        self.now: dict[str, str] = {}
        self.kept: dict[str, bytes] = {}
        """Bytes by SHA-256, of all that ever lay there."""
        self.lain: set[tuple[str, str]] = set()
        """(name, SHA-256)"""
        self.changed: dict[str, float] = {}
        """When a name got its present content, on the test's clock."""
        root.mkdir(parents=True)
        outside.mkdir()
        (outside / "clock").touch()
        for name in FEW:
            (outside / name).write_bytes(whole_bytes(name))
        (root / "linked").symlink_to(outside)
        os.mkfifo(root / "pipe.png")

    @contextmanager
    def changing(self, clock: float) -> Iterator[None]:
        """A change at a moment: what it made of the inbox is looked at when it is done."""
        self._tick()
        yield
        self._tick()
        self.look(clock)

    def look(self, clock: float) -> None:
        """Read every regular file, through no link."""
        before, self.now = self.now, {}
        for folder, _, names in os.walk(self.root):
            for path in (Path(folder, name) for name in names):
                if path.is_file() and not path.is_symlink():
                    content = path.read_bytes()
                    sha256 = hashlib.sha256(content).hexdigest()
                    self.kept[sha256] = content
                    self.now[str(path.relative_to(self.root))] = sha256
        self.lain |= set(self.now.items())
        for name in self.now.keys() - before.keys():
            self.changed[name] = clock
        for name in self.now.keys() & before.keys():
            if self.now[name] != before[name]:
                self.changed[name] = clock

    def uploads(self) -> dict[str, str]:
        """The files that the program must take, with their contents."""
        return {name: sha256 for name, sha256 in self.now.items() if not is_ignored(name)}

    def path(self, name: str) -> str:
        """The absolute path of a name."""
        return str(self.root / name)

    def _tick(self) -> None:
        """Let the file system's clock go on: what no stat can tell, nobody could notice."""
        clock = self.outside / "clock"
        before = clock.stat().st_ctime_ns
        while clock.stat().st_ctime_ns == before:
            clock.touch()

    def _room(self, name: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def arrive(self, name: str, content: bytes) -> None:
        """An upload written elsewhere and renamed into its place, over whatever is there."""
        ready = self.outside / "upload"
        ready.write_bytes(content)
        ready.replace(self._room(name))

    def write(self, name: str, content: bytes) -> None:
        """The same file with another content, or a new one."""
        path = self._room(name)
        if path.is_symlink():
            path.unlink()
        path.write_bytes(content)

    def grow(self, name: str, whole: bool) -> None:
        """The next bytes of what is being written there."""
        path = self.root / name
        before = path.read_bytes()
        if more := grown(before, whole):
            with path.open("ab") as file:
                file.write(more[len(before) :])

    def flip(self, name: str, at: int) -> None:
        """Another bit in place, with size and modification time as they were."""
        path = self.root / name
        status, content = path.stat(), bytearray(path.read_bytes())
        if content:
            content[at % len(content)] ^= 1
            with path.open("r+b") as file:
                file.write(content)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    def rename(self, old: str, new: str) -> None:
        """A new name, over whatever has it."""
        (self.root / old).replace(self._room(new))

    def hard_link(self, old: str, new: str) -> None:
        """One more name for the same file."""
        path = self._room(new)
        path.unlink(missing_ok=True)
        if (self.root / old).exists():
            path.hardlink_to(self.root / old)

    def symbolic_link(self, name: str, target: str) -> None:
        """A link in place of what is there."""
        path = self._room(name)
        path.unlink(missing_ok=True)
        path.symlink_to(self.outside / target)

    def delete(self, name: str) -> None:
        """Gone."""
        (self.root / name).unlink()

    def tree_in(self, first: bytes, second: bytes) -> None:
        """A folder with two files, moved in at once; one that is there moves out."""
        ready = self.outside / "tree"
        shutil.rmtree(ready, ignore_errors=True)
        ready.mkdir()
        (ready / "1.png").write_bytes(first)
        (ready / "2.png").write_bytes(second)
        self._away("tree")
        ready.replace(self.root / "tree")

    def rename_folder(self, old: str, new: str) -> None:
        """All that lies in a folder under other names; what has the name moves out."""
        if (self.root / old).is_dir():
            self._away(new)
            (self.root / old).replace(self.root / new)

    def _away(self, folder: str) -> None:
        if (self.root / folder).exists():
            shutil.rmtree(self.outside / "old", ignore_errors=True)
            (self.root / folder).replace(self.outside / "old")

    def set_time(self, name: str, mtime_ns: int) -> None:
        """Another modification time, the same bytes."""
        os.utime(self.root / name, ns=(mtime_ns, mtime_ns))

    @contextmanager
    def shut(self, name: str) -> Iterator[bool]:
        """A file that its mode lets nobody read, for a while; gives whether it holds this user."""
        path = self.root / name
        self._tick()
        path.chmod(0)
        yield not os.access(path, os.R_OK)
        path.chmod(0o644)
        self._tick()
