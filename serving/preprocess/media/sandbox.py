"""A process that may do anything -> one that may read media, compute and answer its parent, and nothing else.

What a decoder bug must not become: a network connection, a program that is started, a file that is written, or one
that is read outside the media roots. Two parts of Linux hold that without any privilege, and are used where the
kernel has them: Landlock (which files can be opened) and seccomp (which system calls can be made at all).

What this does not stop: a decoder that is taken over can read other media in the roots, can ask whether a path is
there and how large the file is, can answer with pictures that no file holds for as long as its process lives, can wait
until it is killed for it, and can attack the kernel through the calls that are left. A side channel between processes
of one machine is not closed either.
"""

import ctypes
import fcntl
import os
import platform
import resource
import struct
from collections.abc import Sequence
from pathlib import Path

LANDLOCK, SECCOMP = "landlock", "seccomp"
OPEN_FILES = 32
Identity = tuple[int, int] | None

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3

# System calls that decoding makes, by their numbers on (x86_64, aarch64); None where there is no such call.
_ALLOWED: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "stat": (4, None),
    "fstat": (5, 80),
    "lstat": (6, None),
    "poll": (7, 73),  # ppoll
    "lseek": (8, 62),
    "munmap": (11, 215),
    "brk": (12, 214),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "pread64": (17, 67),
    "readv": (19, 65),
    "sched_yield": (24, 124),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "getitimer": (36, 102),
    "setitimer": (38, 103),
    "getpid": (39, 172),
    "sendto": (44, 206),
    "recvfrom": (45, 207),
    "exit": (60, 93),
    "getcwd": (79, 17),
    "readlink": (89, 78),  # readlinkat
    "gettimeofday": (96, 169),
    "getrusage": (98, 165),
    "getppid": (110, 173),
    "sigaltstack": (131, 132),
    "gettid": (186, 178),
    "futex": (202, 98),
    "sched_getaffinity": (204, 123),
    "restart_syscall": (219, 128),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "exit_group": (231, 94),
    "newfstatat": (262, 79),
    "readlinkat": (267, 78),
    "getrandom": (318, 278),
    "membarrier": (324, 283),
    "statx": (332, 291),
    "rseq": (334, 293),
}
# Calls that are let through only where no bit of the mask is set in an argument: no file is opened to be written or
# made, no memory becomes code, and no file is told to send signals to whoever (F_SETOWN, F_SETSIG, F_NOTIFY, leases),
# which a kernel whose Landlock does not know of signals would do.
_NO_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_ONLY_FLAGS_OF_DESCRIPTORS = 0xFFFFFFFF & ~(fcntl.F_GETFD | fcntl.F_SETFD | fcntl.F_GETFL)
_SECOND_ARGUMENT_AT, _THIRD_ARGUMENT_AT = 24, 32
_MASKED: dict[str, tuple[int, int, int, int]] = {
    "openat": (257, 56, _THIRD_ARGUMENT_AT, _NO_WRITING),
    "mmap": (9, 222, _THIRD_ARGUMENT_AT, 0x4),
    "mprotect": (10, 226, _THIRD_ARGUMENT_AT, 0x4),
    "fcntl": (72, 25, _SECOND_ARGUMENT_AT, _ONLY_FLAGS_OF_DESCRIPTORS),
}
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

_LOAD, _JUMP_IF_EQUAL, _AND, _RETURN = 0x20, 0x15, 0x54, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 1  # EPERM
_NUMBER_AT, _ARCHITECTURE_AT = 0, 4


def confine(roots: Sequence[Path]) -> frozenset[str]:
    """Give up for good what decoding needs not; returns which of `LANDLOCK` and `SECCOMP` hold from here on.

    Everything that is imported late must be imported before. Roots that are not there cannot be read even when they
    come up later: compare `identities`, and start anew.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return frozenset()
    held = {LANDLOCK} if _only_read_beneath(roots, libc) else set()
    if _only_allowed_calls(libc):
        held.add(SECCOMP)
    return frozenset(held)


def identities(roots: Sequence[Path]) -> list[Identity]:
    """Which folder lies at each root now: its device and inode, None where there is none."""
    found: list[Identity] = []
    for root in roots:
        try:
            stat = root.stat()
        except OSError:
            found.append(None)
        else:
            found.append((stat.st_dev, stat.st_ino))
    return found


def _only_read_beneath(roots: Sequence[Path], libc: ctypes.CDLL) -> bool:
    """Have Landlock refuse every access to files but reading beneath `roots`, and TCP where it knows of it."""
    abi = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    if abi < 1:
        return False
    n_fs = {1: 13, 2: 14, 3: 15, 4: 15}.get(abi, 16)
    words = [(1 << n_fs) - 1, 0b11, 0b11][: 1 if abi < 4 else 2 if abi < 6 else 3]  # files; TCP; sockets and signals
    attributes = struct.pack(f"={len(words)}Q", *words)
    ruleset = libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    if ruleset < 0:
        return False
    try:
        for root in roots:
            try:
                folder = os.open(root, os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY)
            except OSError:
                continue  # it is not there, and stays unreadable
            try:
                rule = struct.pack("=Qi", _READ_FILE | _READ_DIR, folder)
                if libc.syscall(_ADD_RULE, ruleset, ctypes.c_int(1), rule, ctypes.c_uint32(0)):
                    return False
            finally:
                os.close(folder)
        return libc.syscall(_RESTRICT_SELF, ruleset, ctypes.c_uint32(0)) == 0
    finally:
        os.close(ruleset)


class _Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_ushort), ("yes", ctypes.c_ubyte), ("no", ctypes.c_ubyte), ("k", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.POINTER(_Instruction)))


def _only_allowed_calls(libc: ctypes.CDLL) -> bool:
    """Have the kernel answer EPERM to every system call that is not in the tables."""
    if platform.machine() not in _ARCHITECTURES:
        return False
    lines = filter_lines(platform.machine())
    program = _Program(len(lines), (_Instruction * len(lines))(*(_Instruction(*line) for line in lines)))
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) == 0)


def filter_lines(machine: str) -> list[tuple[int, int, int, int]]:
    """The seccomp program of an architecture, as (code, jump if true, jump if false, operand)."""
    column, audit = _ARCHITECTURES[machine]
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_JUMP_IF_EQUAL, 1, 0, audit),
        (_RETURN, 0, 0, _REFUSE),
        (_LOAD, 0, 0, _NUMBER_AT),
    ]
    for numbers in _ALLOWED.values():
        number = numbers[column]
        if number is not None:
            lines += [(_JUMP_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    for *both, argument_at, mask in _MASKED.values():
        lines += [
            (_JUMP_IF_EQUAL, 0, 5, both[column]),
            (_LOAD, 0, 0, argument_at),
            (_AND, 0, 0, mask),
            (_JUMP_IF_EQUAL, 0, 1, 0),
            (_RETURN, 0, 0, _ALLOW),
            (_RETURN, 0, 0, _REFUSE),
        ]
    return [*lines, (_RETURN, 0, 0, _REFUSE)]
