"""What is written into files: pictures, and what becomes of them on bad days."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache

from hypothesis import strategies as st

from ..program import picture

_FORMATS = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "gif": "GIF"}
PICTURES = tuple(
    f"{kind} {number}.{suffix}"
    for number in range(8)
    for kind, suffix in zip(("disc", "square", "cross", "noise"), _FORMATS, strict=True)
)
FEW = PICTURES[:4]
NO_PICTURES = {"empty": b"", "text": b"<html>sign in</html>", "signature": b"\x89PNG\r\n\x1a\n"}


@dataclass(frozen=True)
class Content:
    """Bytes, told in a way that can be read: a picture whole, cut short or with a bit flipped."""

    name: str
    share: int = 100
    """Per cent of its bytes that are there."""
    flipped: int | None = None
    """Per cent of the way to the byte whose lowest bit is another."""

    @property
    def bytes(self) -> bytes:
        """What is written."""
        whole = bytearray(whole_bytes(self.name))
        if self.flipped is not None:
            whole[self.flipped * (len(whole) - 1) // 100] ^= 1
        return bytes(whole[: len(whole) * self.share // 100])


@cache
def whole_bytes(name: str) -> bytes:
    """A picture's file, or what is none."""
    if name in NO_PICTURES:
        return NO_PICTURES[name]
    what, _, suffix = name.partition(".")
    kind, _, number = what.partition(" ")
    stream = io.BytesIO()
    picture(kind, int(number)).save(stream, _FORMATS[suffix])
    return stream.getvalue()


@cache
def _wholes() -> tuple[bytes, ...]:
    return tuple(map(whole_bytes, PICTURES))


def is_readable(content: bytes) -> bool | None:
    """Whether the program must be able to read it; None where a flipped bit decides."""
    if content in _wholes():
        return True
    if content in NO_PICTURES.values() or any(whole.startswith(content) for whole in _wholes()):
        return False
    return None


def grown(content: bytes, whole: bool) -> bytes | None:
    """More of the picture that `content` is the beginning of: all of it, or half of the rest."""
    for picture_bytes in _wholes():
        left = len(picture_bytes) - len(content)
        if content and left > 0 and picture_bytes.startswith(content):
            return picture_bytes[: len(content) + (left if whole else (left + 1) // 2)]
    return None


def pictures() -> st.SearchStrategy[Content]:
    """Whole pictures, some of them again and again."""
    return st.builds(Content, st.sampled_from(FEW) | st.sampled_from(PICTURES))


def contents() -> st.SearchStrategy[Content]:
    """Pictures, many of them whole."""
    names, percent = st.sampled_from(PICTURES), st.integers(1, 99)
    return st.one_of(
        pictures(),
        pictures(),
        st.builds(Content, names, percent),
        st.builds(Content, names, flipped=st.integers(0, 100)),
        st.builds(Content, st.sampled_from(sorted(NO_PICTURES))),
    )
