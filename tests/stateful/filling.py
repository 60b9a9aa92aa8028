"""Rules by which the inbox fills and changes; the program has no part in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from .contents import FEW, Content, contents
from .disk import IGNORED, MTIMES, NAMES, Disk

names = st.one_of(st.sampled_from(NAMES), st.sampled_from(NAMES), st.sampled_from(IGNORED))
numbers = st.integers(0, 99)
"""Of one of the things that there are just now."""
some_file = precondition(lambda machine: bool(machine.disk.now))


class Filling(RuleBasedStateMachine):
    """An inbox in `base`, and a clock in seconds."""

    def __init__(self, base: Path) -> None:
        super().__init__()
        self.disk = Disk(base / "inbox", base / "outside")
        self.clock = 0.0
        self.caught_up = False
        """Whether the program has been given the time for all that lies there."""

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Change something."""
        self.caught_up = False
        with self.disk.changing(self.clock):
            yield

    def file(self, number: int) -> str:
        """The name of a file that is there."""
        there = sorted(self.disk.now)
        return there[number % len(there)]

    @initialize(uploads=st.dictionaries(names, contents(), max_size=6))
    def lies_there(self, uploads: dict[str, Content]) -> None:
        """What lay there before the program was first started."""
        with self.changing():
            for name, content in uploads.items():
                self.disk.arrive(name, content.bytes)

    @rule(name=names, content=contents())
    def arrive(self, name: str, content: Content) -> None:
        """An upload renamed into place."""
        with self.changing():
            self.disk.arrive(name, content.bytes)

    @rule(name=names, content=contents())
    def write(self, name: str, content: Content) -> None:
        """Written in place, over the same file if there is one."""
        with self.changing():
            self.disk.write(name, content.bytes)

    @some_file
    @rule(number=numbers, whole=st.booleans())
    def grow(self, number: int, whole: bool) -> None:
        """More of a slow upload."""
        with self.changing():
            self.disk.grow(self.file(number), whole)

    @some_file
    @rule(number=numbers, at=st.integers(0, 5000))
    def flip(self, number: int, at: int) -> None:
        """Damage that size and time do not show."""
        with self.changing():
            self.disk.flip(self.file(number), at)

    @some_file
    @rule(number=numbers, new=names)
    def rename(self, number: int, new: str) -> None:
        """Another name, which may be taken."""
        with self.changing():
            self.disk.rename(self.file(number), new)

    @some_file
    @rule(number=numbers, new=names)
    def hard_link(self, number: int, new: str) -> None:
        """A second name for one file."""
        with self.changing():
            self.disk.hard_link(self.file(number), new)

    @rule(name=names, linked=st.sampled_from(FEW))
    def symbolic_link(self, name: str, linked: str) -> None:
        """A link to a picture outside, in place of what is there."""
        with self.changing():
            self.disk.symbolic_link(name, linked)

    @some_file
    @rule(number=numbers)
    def delete(self, number: int) -> None:
        """Gone."""
        with self.changing():
            self.disk.delete(self.file(number))

    @rule(first=contents(), second=contents())
    def tree_in(self, first: Content, second: Content) -> None:
        """A whole folder moved in."""
        with self.changing():
            self.disk.tree_in(first.bytes, second.bytes)

    @rule(old=st.sampled_from(["b", "tree"]), new=st.sampled_from(["moved", "b", "tree"]))
    def rename_folder(self, old: str, new: str) -> None:
        """All of a folder under other names."""
        if old != new:
            with self.changing():
                self.disk.rename_folder(old, new)

    @some_file
    @rule(number=numbers, mtime_ns=st.sampled_from(MTIMES))
    def set_time(self, number: int, mtime_ns: int) -> None:
        """A modification time from another century."""
        with self.changing():
            self.disk.set_time(self.file(number), mtime_ns)
