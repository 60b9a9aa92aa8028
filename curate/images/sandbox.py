"""A process gives up all that decoding does not need: Linux keeps it from what is left.

Two locks that know nothing of each other. seccomp lets through the system calls that read files,
compute and answer, so no network, no process, no change to any file. Landlock forbids changing
files and devices, and signalling, tracing or looking into other processes. Neither needs a
privilege, neither can be taken back. Files can still be read, for pictures lie anywhere.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from itertools import chain

# Names and numbers on x86_64 and aarch64 (asm/unistd_64.h, asm-generic/unistd.h). A list of what is
# allowed, since what an attack may want has no end. Traced over the tests' files, with every format
# of Pillow, the decoder makes 22 kinds of calls; the others are what glibc, musl, Python and the
# threads of codecs make instead or besides, none of which reaches beyond this process.
_ALLOWED = """
read 0 63, readv 19 65, pread64 17 67, preadv 295 69, lseek 8 62, close 3 57, fadvise64 221 223
stat 4 -, lstat 6 -, fstat 5 80, newfstatat 262 79, statx 332 291, getdents64 217 61, getcwd 79 17
access 21 -, faccessat 269 48, readlink 89 -, readlinkat 267 78, dup 32 23
write 1 64, writev 20 66
mmap 9 222, munmap 11 215, mremap 25 216, mprotect 10 226, madvise 28 233, brk 12 214
futex 202 98, set_robust_list 273 99, set_tid_address 218 96, rseq 334 293, arch_prctl 158 -
sched_yield 24 124, sched_getaffinity 204 123, sched_getparam 143 121, sched_getscheduler 145 120
getcpu 309 168, exit 60 93, exit_group 231 94
rt_sigaction 13 134, rt_sigprocmask 14 135, rt_sigreturn 15 139, sigaltstack 131 132
restart_syscall 219 128, setitimer 38 103, nanosleep 35 101, clock_nanosleep 230 115
clock_gettime 228 113, clock_getres 229 114, gettimeofday 96 169, time 201 -, times 100 153
poll 7 -, ppoll 271 73, select 23 -, pselect6 270 72
getpid 39 172, gettid 186 178, getppid 110 173, getuid 102 174, geteuid 107 175, getgid 104 176
getegid 108 177, getrandom 318 278, uname 63 160, sysinfo 99 179, getrusage 98 165, getrlimit 97 163
"""
_WRITING = 0o3 | 0o100 | 0o1000
"""O_ACCMODE, O_CREAT and O_TRUNC (asm-generic/fcntl.h)."""
_CLONE_THREAD, _PR_SET_NAME, _F_DUPFD_CLOEXEC = 0x10000, 15, 1030
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Column of the numbers, and AUDIT_ARCH (linux/audit.h)."""
_SINCE_LINUX_5_1 = 424

_LOAD, _IS, _AT_LEAST, _HAS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
"""Instructions (linux/bpf_common.h): load a word, compare, give the verdict."""
_ALLOW, _REFUSE, _UNKNOWN = 0x7FFF0000, 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS
# Calls of which an argument decides: numbers, the argument, and what of it gives the verdict; else
# the other one.
_JUDGED: tuple[tuple[tuple[int, int | None], int, int, tuple[int, ...], int], ...] = (
    ((257, 56), 2, _HAS, (_WRITING,), _REFUSE),  # openat: to read only
    ((2, None), 1, _HAS, (_WRITING,), _REFUSE),  # open
    ((56, 220), 0, _HAS, (_CLONE_THREAD,), _ALLOW),  # clone
    ((157, 167), 0, _IS, (_PR_SET_NAME,), _ALLOW),  # prctl: codecs name their threads
    ((302, 261), 0, _IS, (0,), _ALLOW),  # prlimit64: of no other process
    # fcntl: F_DUPFD, F_GETFD, F_SETFD, F_GETFL; no lock or lease that somebody would wait for, no
    # owner who would be sent signals.
    ((72, 25), 1, _IS, (0, 1, 2, 3, _F_DUPFD_CLOEXEC), _ALLOW),
)
Instruction = tuple[int, int, int, int]
"""Code, instructions to pass over if so and if not, operand (struct sock_filter)."""

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2
_CREATE_RULESET, _RESTRICT_SELF, _VERSION = 444, 446, 1
# (ABI since which there are, rights), linux/landlock.h. Of files all but reading and listing; TCP
# ports to bind and connect to; abstract sockets and signals to processes outside.
_FILES = ((1, 0x1FF3), (2, 0x2000), (3, 0x4000), (5, 0x8000))
_PORTS = ((4, 0x3),)
_SCOPES = ((6, 0x3),)


def enter() -> dict[str, bool]:
    """Lock this process and its future threads in, for good; which of the locks hold.

    Landlock before Linux 6.12 lacks rights (truncation, TCP, signals) that seccomp refuses too. To
    be called while there is one thread.
    """
    held = {"file system (Landlock)": False, "system calls (seccomp)": False}
    if sys.platform != "linux":
        return held
    libc = ctypes.CDLL(None)
    libc.syscall.restype = ctypes.c_long
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0))):
        return held
    # In this order: the filter would refuse Landlock's calls.
    return dict(zip(held, (_landlock(libc), _seccomp(libc)), strict=True))


def _landlock(libc: ctypes.CDLL) -> bool:
    zero = ctypes.c_ulong(0)
    abi = libc.syscall(_long(_CREATE_RULESET), None, zero, _long(_VERSION))
    if abi < 1:
        return False
    rights = struct.pack("QQQ", *(_offered(kind, abi) for kind in (_FILES, _PORTS, _SCOPES)))
    # A kernel that knows a shorter structure takes a longer one if the rest is zero.
    ruleset = libc.syscall(_long(_CREATE_RULESET), rights, _long(len(rights)), zero)
    if ruleset < 0:
        return False
    try:
        return bool(libc.syscall(_long(_RESTRICT_SELF), _long(ruleset), zero) == 0)
    finally:
        os.close(ruleset)


def _offered(kind: tuple[tuple[int, int], ...], abi: int) -> int:
    return sum(rights for since, rights in kind if abi >= since)


def _seccomp(libc: ctypes.CDLL) -> bool:
    machine = os.uname().machine
    if machine not in _MACHINES or sys.maxsize < 2**32:  # a 32-bit program makes other calls
        return False
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program(machine))
    buffer = ctypes.create_string_buffer(code, len(code))
    described = struct.pack("HP", len(code) // 8, ctypes.addressof(buffer))
    return bool(libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_FILTER), described) == 0)


def _long(value: int) -> ctypes.c_long:
    return ctypes.c_long(value)


def program(machine: str) -> list[Instruction]:
    """The filter of system calls for `machine`, in classic BPF.

    Calls that came with Linux 5.1 or later (whose numbers are the same on every machine, and below
    those of the x32 ABI) are answered as an older kernel does, so a C library falls back to calls
    that can be judged: from clone3, which hides its flags, to clone. The others not listed are
    refused with EPERM.
    """
    column, architecture = _MACHINES[machine]
    listed = [call.split()[1:] for call in _ALLOWED.strip().replace("\n", ", ").split(", ")]
    blocks = {int(of[column]): [_verdict(_ALLOW)] for of in listed if of[column] != "-"}
    for numbers, argument, test, values, verdict in _JUDGED:
        if (number := numbers[column]) is not None:
            blocks[number] = _judged(argument, test, values, verdict)
    return [
        (_LOAD, 0, 0, 4),  # struct seccomp_data: number, architecture, address, arguments
        *((_IS, 1, 0, architecture), _verdict(_REFUSE)),
        (_LOAD, 0, 0, 0),
        *((_AT_LEAST, 0, 1, _SINCE_LINUX_5_1), _verdict(_UNKNOWN)),
        *chain.from_iterable(((_IS, 0, len(b), call), *b) for call, b in blocks.items()),
        _verdict(_REFUSE),
    ]


def _judged(argument: int, test: int, values: tuple[int, ...], verdict: int) -> list[Instruction]:
    taken = (((test, 0, 1, value), _verdict(verdict)) for value in values)
    otherwise = _REFUSE if verdict == _ALLOW else _ALLOW
    return [(_LOAD, 0, 0, 16 + 8 * argument), *chain.from_iterable(taken), _verdict(otherwise)]


def _verdict(value: int) -> Instruction:
    return (_RETURN, 0, 0, value)
