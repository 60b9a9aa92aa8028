"""What a worker that was taken over would try, in a process of its own; prints what came of it.

`python -m tests.images.attempts FOLDER [LOCK...]` tries everything under the locks that are named,
`landlock` and `seccomp`. An attempt's outcome is an errno by name, or "done".
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import importlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from curate.images import sandbox

LIBC = ctypes.CDLL(None, use_errno=True)
PTRACE_SEIZE = 0x4206


def outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "done"


def in_c(function: Callable[..., int], *arguments: object) -> None:
    """Call a function of libc; raises OSError where it says -1."""
    if function(*arguments) == -1:
        raise OSError(ctypes.get_errno(), "refused")


def fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def thread() -> None:
    """Start one; a refusal comes as a RuntimeError."""
    started = threading.Thread(target=int)
    started.start()
    started.join()


def attempts(folder: Path, other: int, listening: socket.socket) -> dict[str, Callable[[], object]]:
    """All of them; `other` is a process, which ends up as it was."""
    kept, given = folder / "kept", socket.socket()
    file, script = os.open(kept, os.O_RDONLY), folder / "script"
    script.write_bytes(b"no program")
    script.chmod(0o700)
    return {
        "socket": lambda: socket.socket().close(),
        "socket of datagrams": lambda: socket.socket(type=socket.SOCK_DGRAM).close(),
        "pair of sockets": socket.socketpair,
        "connect": lambda: given.connect(listening.getsockname()),
        "create": lambda: (folder / "new").touch(),
        "append": lambda: kept.open("ab").close(),
        "open and cut": lambda: os.close(os.open(kept, os.O_RDONLY | os.O_TRUNC)),
        "truncate": lambda: os.truncate(kept, 0),
        "folder": (folder / "made").mkdir,
        "symbolic link": lambda: (folder / "link").symlink_to("kept"),
        "link": lambda: (folder / "twin").hardlink_to(kept),
        "rename": lambda: (folder / "named").rename(folder / "otherwise"),
        "unlink": (folder / "spare").unlink,
        "chmod": lambda: kept.chmod(0o640),
        "utime": lambda: os.utime(kept),
        "lock": lambda: fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB),
        "flock": lambda: fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB),
        "execve": lambda: os.execv(script, ["it"]),  # noqa: S606  (no program, so this one goes on)
        "fork": fork,
        "spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
        "kill": lambda: os.kill(other, signal.SIGCONT),
        "owner of signals": lambda: fcntl.fcntl(file, fcntl.F_SETOWN, other),
        "ptrace": lambda: in_c(LIBC.ptrace, PTRACE_SEIZE, other, None, None),
        "memory of another": lambda: open(f"/proc/{other}/mem", "rb").close(),
        "files of another": lambda: os.stat(f"/proc/{other}/fd/0"),
        "read another": lambda: in_c(LIBC.process_vm_readv, other, None, 0, None, 0, 0),
        "limit of another": lambda: resource.prlimit(other, resource.RLIMIT_CORE),
        "read": kept.read_bytes,
        "list": lambda: os.listdir(folder),
        "import": lambda: importlib.import_module("wave"),
        "thread": thread,
    }


def main(folder: Path, locks: list[str]) -> None:
    (folder / "kept").write_bytes(b"content")
    (folder / "named").touch()
    (folder / "spare").touch()
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        subprocess.Popen(["cat"], stdin=subprocess.PIPE) as other,
    ):
        tried = attempts(folder, other.pid, listening)
        for lock in {"landlock", "seccomp"}.difference(locks):
            setattr(sandbox, f"_{lock}", lambda libc: False)
        held = sandbox.enter() if locks else {}
        found = {name: outcome(attempt) for name, attempt in tried.items()}
        sys.stdout.write(json.dumps({"held": held, "found": found}) + "\n")
        sys.stdout.flush()
        os._exit(0)  # locked in, nobody can wait for the other process; it ends with its input


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
