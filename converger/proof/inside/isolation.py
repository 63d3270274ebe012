"""Takes the network away from this process and from everything that it will ever start.

A seccomp filter: the kernel itself refuses the system calls, whoever makes them, also after `exec`, and
nobody can take the filter off again. It needs no privilege and works inside Docker's default container,
where a network namespace cannot be made. Elsewhere than on Linux there is nothing of the kind.

Facts: `linux/audit.h` (architectures), `asm/unistd_64.h` and `asm-generic/unistd.h` (numbers of system
calls), `linux/seccomp.h`, `linux/filter.h`, `linux/prctl.h`, of Linux 6.1.
"""

import errno
import os
import socket
import stat
import struct
import sys

_X86_64 = {
    "audit": 0xC000003E,
    "x32": 0x40000000,  # a second ABI with the same audit value: a bit in the number of the call
    "seccomp": 317,
    "socket": 41,
    "socketpair": 53,
    "connect": 42,
    "sendto": 44,
    "sendmsg": 46,
    "sendmmsg": 307,
    "ptrace": 101,
    "process_vm_readv": 310,
    "process_vm_writev": 311,
}
_GENERIC = {
    "seccomp": 277,
    "socket": 198,
    "socketpair": 199,
    "connect": 203,
    "sendto": 206,
    "sendmsg": 211,
    "sendmmsg": 269,
    "ptrace": 117,
    "process_vm_readv": 270,
    "process_vm_writev": 271,
}
# Only 64 bits and little-endian, and none with socketcall(2), whose arguments a filter cannot see.
_ARCHITECTURES = {
    "x86_64": _X86_64,
    "aarch64": dict(_GENERIC, audit=0xC00000B7),
    "riscv64": dict(_GENERIC, audit=0xC00000F3),
}
# Every architecture has the same numbers for newer calls.
_IO_URING = (425, 426, 427)
_PIDFD_GETFD = 438

_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_SET_MODE_FILTER = 1
_TSYNC = 1  # all threads of this process
_SPEC_ALLOW = 4  # leave speculation as it is: older kernels slow a filtered process down by default

_ALLOW = 0x7FFF0000
_FAIL = 0x00050000  # plus the errno
_KILL = 0x80000000

_LOAD = 0x20  # a 32-bit word of struct seccomp_data
_EQUAL = 0x15
_AT_LEAST = 0x35
_ANY_BIT = 0x45
_KEEP_BITS = 0x54
_RETURN = 0x06
_NUMBER, _AUDIT = 0, 4
_ARGUMENT_0, _ARGUMENT_1, _ARGUMENT_2, _ARGUMENT_3 = 16, 24, 32, 40  # the lower halves: the calls take an int

_AF_NETLINK = 16
_NETLINK_ROUTE = 0
_SO_DOMAIN = 39
_SOCKET_TYPE = 0xF  # above it are flags
_MSG_FASTOPEN = 0x20000000  # a message that connects


def cut_network():
    """Make this process and its descendants unable to open a socket of another family than AF_UNIX.

    Returns None when that holds, else a short text that says why it cannot be done here. `socket` then fails
    with ENETUNREACH, io_uring with ENOSYS, and taking a descriptor or the memory of another process (ptrace,
    pidfd_getfd, process_vm_*) with EPERM. A program of another ABI of the processor is killed. Programs do not
    get the rights of their set-user-ID bit any more. Sockets of other families that are open already are
    replaced by /dev/null. May be called again.

    AF_NETLINK is left for NETLINK_ROUTE, which reads the machine's own interfaces (`getifaddrs`, on which
    libraries rely while they are imported); no byte leaves the machine by it.
    """
    return _attempt(assemble) or _attempted(_close_network_sockets) or _still_open()


def keep_from_connecting():
    """Make this process and its descendants unable to connect to anybody: for a server, which is connected to.

    Returns as `cut_network` does. TCP sockets can be made, to listen on. `connect` fails with ENETUNREACH, also to
    a Unix socket, and so does a socket for anything but TCP.
    """
    return _attempt(assemble_for_server)


def _attempt(assembled):
    if not sys.platform.startswith("linux"):
        return "only Linux can do this"
    known = _ARCHITECTURES.get(os.uname().machine)
    if known is None or struct.calcsize("P") != 8 or sys.byteorder != "little":
        return "it is not known how on this processor (%s)" % os.uname().machine
    return _attempted(lambda: _install(known, assembled(known)))


def _attempted(work):
    try:
        work()
    except ImportError:
        return "this Python has no ctypes"
    except OSError as error:
        return "the system does not allow it (%s)" % error.strerror
    return None


def assemble(known):
    """The filter for one of `_ARCHITECTURES`: a list of (code, jump if true, jump if false, value)."""
    of_calls = [
        (_EQUAL, known["socket"], "socket", None),
        (_EQUAL, known["socketpair"], "socketpair", None),
    ]
    looking_closer = [
        "socket",
        (_LOAD, _ARGUMENT_0),
        (_EQUAL, socket.AF_UNIX, "allow", None),
        (_EQUAL, _AF_NETLINK, None, "refuse"),
        (_LOAD, _ARGUMENT_2),
        (_EQUAL, _NETLINK_ROUTE, "allow", "refuse"),
        "socketpair",
        (_LOAD, _ARGUMENT_0),
        (_EQUAL, socket.AF_UNIX, "allow", "refuse"),
    ]
    return _linked(known, of_calls, looking_closer)


def assemble_for_server(known):
    """The filter of `keep_from_connecting`."""
    of_calls = [
        (_EQUAL, known["connect"], "refuse", None),
        (_EQUAL, known["socket"], "socket", None),
        (_EQUAL, known["sendmsg"], "message", None),
        (_EQUAL, known["sendto"], "other message", None),
        (_EQUAL, known["sendmmsg"], "other message", None),
    ]
    looking_closer = [
        "socket",
        (_LOAD, _ARGUMENT_0),
        (_EQUAL, socket.AF_UNIX, "allow", None),
        (_EQUAL, socket.AF_INET, "internet", None),
        (_EQUAL, socket.AF_INET6, "internet", "refuse"),
        "internet",
        (_LOAD, _ARGUMENT_1),
        (_KEEP_BITS, _SOCKET_TYPE),
        (_EQUAL, socket.SOCK_STREAM, None, "refuse"),
        (_LOAD, _ARGUMENT_2),
        (_EQUAL, 0, "allow", None),
        (_EQUAL, socket.IPPROTO_TCP, "allow", "refuse"),
        "message",
        (_LOAD, _ARGUMENT_2),
        (_ANY_BIT, _MSG_FASTOPEN, "refuse", "allow"),
        "other message",
        (_LOAD, _ARGUMENT_3),
        (_ANY_BIT, _MSG_FASTOPEN, "refuse", "allow"),
    ]
    return _linked(known, of_calls, looking_closer)


def _linked(known, of_calls, looking_closer):
    """A filter: `of_calls` says which calls are looked at closer, and `looking_closer` what then."""
    lines = [
        (_LOAD, _AUDIT),
        (_EQUAL, known["audit"], "native", "foreign"),
        "native",
        (_LOAD, _NUMBER),
    ]
    if "x32" in known:
        lines.append((_AT_LEAST, known["x32"], "absent", None))
    lines += of_calls
    lines += [(_EQUAL, number, "absent", None) for number in _IO_URING]
    others = [known[name] for name in ("ptrace", "process_vm_readv", "process_vm_writev")] + [_PIDFD_GETFD]
    lines += [(_EQUAL, number, "forbidden", None) for number in others]
    lines += [
        (_RETURN, _ALLOW),
        *looking_closer,
        "allow",
        (_RETURN, _ALLOW),
        "refuse",
        (_RETURN, _FAIL | errno.ENETUNREACH),
        "absent",
        (_RETURN, _FAIL | errno.ENOSYS),
        "forbidden",
        (_RETURN, _FAIL | errno.EPERM),
        "foreign",
        (_RETURN, _KILL),
    ]
    places = {}
    instructions = []
    for line in lines:
        if isinstance(line, str):
            places[line] = len(instructions)
        else:
            instructions.append(line)
    program = []
    for place, (code, value, *jumps) in enumerate(instructions):
        program.append(
            (code, *[places[name] - place - 1 if name else 0 for name in jumps or (None, None)], value)
        )
    return program


def _install(known, program):
    import ctypes

    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog: a length, padding, a pointer.
    fprog = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(buffer)))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    libc.syscall.argtypes = [ctypes.c_long, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_void_p]
    libc.syscall.restype = ctypes.c_long
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise _error(ctypes.get_errno())
    for flags in (_TSYNC | _SPEC_ALLOW, _TSYNC):
        done = libc.syscall(known["seccomp"], _SECCOMP_SET_MODE_FILTER, flags, fprog)
        if done == 0:
            return
        if done > 0:  # the thread that has a filter of its own
            raise _error(errno.ESRCH)
        if ctypes.get_errno() != errno.EINVAL:  # that is what a kernel before 4.17 says to the second flag
            break
    raise _error(ctypes.get_errno())


def _error(number):
    return OSError(number, os.strerror(number))


def _close_network_sockets():
    """What code that ran before us opened: a `.pth` file of the project's environment, for instance."""
    try:
        numbers = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:  # not mounted
        numbers = range(min(os.sysconf("SC_OPEN_MAX"), 65536))
    for number in numbers:
        try:
            if not stat.S_ISSOCK(os.fstat(number).st_mode):
                continue
            duplicate = os.dup(number)
        except OSError:  # not open: the listing's own, for one
            continue
        with socket.socket(fileno=duplicate) as opened:
            family = opened.getsockopt(socket.SOL_SOCKET, _SO_DOMAIN)
        if family not in (socket.AF_UNIX, _AF_NETLINK):
            # Not closed: whoever believes to own the number would write to what gets it next.
            inheritable = os.get_inheritable(number)
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, number, inheritable)
            os.close(null)


def _still_open():
    """Try it: an emulator may say that a filter is installed and ignore it."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.socket(family, socket.SOCK_DGRAM).close()
        except OSError:
            continue
        return "the system accepts the filter and does not obey it"
    return None
