"""What the running kernel offers for locking a process in, asked without the program."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path


def landlock_abi() -> int:
    """Version of Landlock's interface; 0 where there is none."""
    if sys.platform != "linux":
        return 0
    call = ctypes.CDLL(None).syscall
    numbers = (ctypes.c_long(444), None, ctypes.c_size_t(0), ctypes.c_long(1))
    return max(0, int(call(*numbers)))


def has_seccomp() -> bool:
    """Whether filters of system calls can be set, on a machine that the program knows."""
    if sys.platform != "linux" or os.uname().machine not in ("x86_64", "aarch64"):
        return False
    return "\nSeccomp:" in Path("/proc/self/status").read_text()


LOCKS = {
    "file system (Landlock)": landlock_abi() > 0,
    "system calls (seccomp)": has_seccomp(),
}
"""What a decode worker must say of itself here."""
