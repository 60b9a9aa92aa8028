"""A decode worker that was taken over can read files and answer, and nothing else."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, features

from curate.config import DecodeConfig
from curate.images import sandbox
from curate.images.decode import DecodedImage, Decoder
from curate.images.sandbox import program
from curate.workspace import Workspace

from ..kernel import LOCKS, has_seccomp, landlock_abi
from .files import only

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux locks processes in")
with_seccomp = pytest.mark.skipif(not has_seccomp(), reason="no seccomp here")
with_landlock = pytest.mark.skipif(not landlock_abi(), reason="no Landlock here")

STILL = {"read", "list", "import", "thread"}
"""What a worker needs."""
LANDLOCK = {
    **dict.fromkeys(("create", "append", "folder", "symbolic link", "link"), (1, "EACCES")),
    **dict.fromkeys(("rename", "unlink", "execve", "spawn"), (1, "EACCES")),
    **dict.fromkeys(("memory of another", "files of another"), (1, "EACCES")),
    "ptrace": (1, "EPERM"),
    **dict.fromkeys(("open and cut", "truncate"), (3, "EACCES")),
    "connect": (4, "EACCES"),
    "kill": (6, "EPERM"),
}
"""What it forbids alone: since which version, and the error."""
UNSEEN = {"memory of another", "files of another"}
"""What goes by the calls that read files, so that seccomp cannot tell it from them."""


def tried(folder: Path, *locks: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.images.attempts", str(folder), *locks]
    place = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(place)}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@on_linux
def test_without_a_lock_every_attempt_succeeds(tmp_path: Path) -> None:
    """Otherwise the tests below would show nothing."""
    found = tried(tmp_path)["found"]
    assert found.pop("execve") == "ENOEXEC"
    assert set(found.values()) == {"done"}
    assert set(LANDLOCK) | STILL | UNSEEN <= set(found) | {"execve"}


@with_seccomp
def test_what_seccomp_alone_refuses(tmp_path: Path) -> None:
    found = tried(tmp_path, "seccomp")["found"]
    expected = {name: "done" if name in STILL | UNSEEN else "EPERM" for name in found}
    assert found == expected


@with_landlock
def test_what_landlock_alone_refuses(tmp_path: Path) -> None:
    found, abi = tried(tmp_path, "landlock")["found"], landlock_abi()
    refused = {name: error for name, (since, error) in LANDLOCK.items() if abi >= since}
    assert {name: found[name] for name in refused} == refused
    assert {found[name] for name in found if name not in LANDLOCK} == {"done"}


@on_linux
def test_both_together(tmp_path: Path) -> None:
    tries = tried(tmp_path, "seccomp", "landlock")
    assert tries["held"] == LOCKS
    if all(LOCKS.values()):
        found = tries["found"]
        assert {found.pop(name) for name in STILL} == {"done"}
        assert set(found.values()) <= {"EPERM", "EACCES"}
        assert (tmp_path / "kept").read_bytes() == b"content"


X86, ARM = 0xC000003E, 0xC00000B7
CALLS: dict[str, tuple[int | None, int]] = {  # on x86_64 and aarch64
    "socket": (41, 198),
    "connect": (42, 203),
    "bind": (49, 200),
    "sendmsg": (46, 211),
    "fork": (57, 1000),
    "vfork": (58, 1000),
    "execve": (59, 221),
    "execveat": (322, 281),
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "open_by_handle_at": (304, 265),
    "mount": (165, 40),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "setns": (308, 268),
    "chroot": (161, 51),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "memfd_create": (319, 279),
    "keyctl": (250, 219),
    "ioctl": (16, 29),
    "unlinkat": (263, 35),
    "renameat2": (316, 276),
    "truncate": (76, 45),
    "ftruncate": (77, 46),
    "fchmodat": (268, 53),
    "setxattr": (188, 5),
    "flock": (73, 32),
    "io_uring_setup": (425, 425),
    "pidfd_send_signal": (424, 424),
    "pidfd_open": (434, 434),
    "clone3": (435, 435),
    "openat2": (437, 437),
    "x32's execve": (0x40000000 | 520, 0x40000000 | 221),
}


def verdict(machine: str, number: int, *arguments: int, architecture: int) -> int:
    """What the kernel would make of the program: the least of an interpreter of classic BPF."""
    data = {0: number, 4: architecture}
    data |= {16 + 8 * index: value & 0xFFFFFFFF for index, value in enumerate(arguments)}
    code, at, held = program(machine), 0, 0
    while True:
        operation, so, not_so, operand = code[at]
        compared = {0x15: held == operand, 0x35: held >= operand, 0x45: held & operand != 0}
        if operation == 0x06:
            return operand
        if operation == 0x20:
            held = data.get(operand, 0)
            at += 1
        else:
            at += 1 + (so if compared[operation] else not_so)


ALLOWED = 0x7FFF0000


@pytest.mark.parametrize(
    ("machine", "architecture", "column"), [("x86_64", X86, 0), ("aarch64", ARM, 1)]
)
def test_the_program_of_each_machine(machine: str, architecture: int, column: int) -> None:
    def asked(number: int, *arguments: int) -> int:
        return verdict(machine, number, *arguments, architecture=architecture)

    refused = {0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS}
    for name, numbers in CALLS.items():
        assert asked(numbers[column] or 0) in refused, name
    read, openat = ((0, 257), (63, 56))[column]
    assert asked(read) == ALLOWED
    assert asked(openat, 0, 0, os.O_RDONLY | 0o2000000) == ALLOWED
    for writing in (0o1, 0o2, 0o3, 0o100, 0o1000, 0o2000001):
        assert asked(openat, 0, 0, writing) == 0x50000 | errno.EPERM, oct(writing)
    clone = (56, 220)[column]
    assert asked(clone, 0x3D0F00) == ALLOWED  # as glibc starts a thread
    assert asked(clone, 0x1200011) == 0x50000 | errno.EPERM  # as it forks
    fcntl = (72, 25)[column]
    assert [command for command in range(2000) if asked(fcntl, 0, command) == ALLOWED] == [
        *(0, 1, 2, 3, 1030)
    ]
    other = {X86: ARM, ARM: X86}[architecture]
    assert verdict(machine, read, architecture=other) == 0x50000 | errno.EPERM
    assert verdict(machine, read, architecture=0x40000003) == 0x50000 | errno.EPERM  # i386


@on_linux
def test_a_worker_is_locked_in_and_says_so(decoder: Decoder, good: Path) -> None:
    only(decoder, good)
    limits = decoder.limits()
    assert {name: limits[name] for name in LOCKS} == LOCKS
    text = Path(f"/proc/{decoder.pids[0]}/status").read_text()
    status = dict(line.split(":\t", 1) for line in text.splitlines())
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == ("2" if has_seccomp() else "0")


@on_linux
def test_a_worker_has_its_pipes_and_nothing_of_the_catalog(
    workspace: Workspace, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURATE_CATALOG", "postgresql://me:secret@host/db")
    monkeypatch.setenv("PGPASSWORD", "secret")
    catalog = os.open(workspace.folder / "catalog.db", os.O_RDWR)
    os.set_inheritable(catalog, True)
    try:
        with Decoder(DecodeConfig(workers=1)) as decoder:
            only(decoder, good)
            place = Path(f"/proc/{decoder.pids[0]}")
            files = {int(entry.name): os.readlink(entry) for entry in (place / "fd").iterdir()}
            environment = (place / "environ").read_bytes()
            kinds = {stat.S_IFMT((place / "fd" / str(fd)).stat().st_mode) for fd in (0, 3)}
    finally:
        os.close(catalog)
    assert sorted(files) == [0, 1, 2, 3]
    assert kinds == {stat.S_IFIFO}
    assert files[1] == files[2] == os.devnull
    assert b"secret" not in environment


@pytest.mark.skipif(not features.check("avif"), reason="Pillow was built without AVIF")
def test_a_codec_with_threads_decodes(tmp_path: Path) -> None:
    path = tmp_path / "picture.avif"
    Image.effect_noise((600, 400), 50).convert("RGB").save(path)
    with Decoder(DecodeConfig(workers=1, formats=("JPEG", "AVIF"))) as decoder:
        assert isinstance(only(decoder, path), DecodedImage)


OLD_KERNEL = """
import json, sys
from pathlib import Path
from curate.config import DecodeConfig
from curate.images import sandbox
from curate.images.decode import Decoder

def as_an_old_kernel(machine):
    prctl = {"x86_64": 157, "aarch64": 167}[machine]
    return [
        (0x20, 0, 0, 0), (0x15, 0, 1, 444), (0x06, 0, 0, 0x50026),  # Landlock: ENOSYS
        (0x15, 0, 3, prctl), (0x20, 0, 0, 16), (0x15, 0, 1, 22), (0x06, 0, 0, 0x50016),  # EINVAL
        (0x06, 0, 0, 0x7FFF0000),
    ]

sandbox.program, sandbox._landlock = as_an_old_kernel, lambda libc: False
assert sandbox.enter()["system calls (seccomp)"]
with Decoder(DecodeConfig(workers=1)) as decoder:
    [(_, result)] = decoder.map([Path(sys.argv[1])])
    print(json.dumps([type(result).__name__, decoder.limits()]))
"""


@with_seccomp
def test_without_either_lock_decoding_goes_on_and_the_worker_says_so(good: Path) -> None:
    """The kernel of the program refuses both, through a filter that its workers inherit."""
    command = [sys.executable, "-c", OLD_KERNEL, str(good)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    kind, limits = json.loads(done.stdout)
    assert kind == "DecodedImage"
    assert {name: limits[name] for name in LOCKS} == dict.fromkeys(LOCKS, False)


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_elsewhere_there_are_no_locks(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def untouched(_: object) -> bool:
        raise AssertionError

    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(sandbox, "_landlock", untouched)
    assert sandbox.enter() == dict.fromkeys(LOCKS, False)


def test_another_machine_has_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    class Riscv:
        machine = "riscv64"

    monkeypatch.setattr(os, "uname", Riscv)
    assert not sandbox._seccomp(None)  # type: ignore[arg-type]
