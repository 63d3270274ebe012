"""The network is gone for a process and its descendants, and everything else still works there.

Each script runs in a process of its own, because the filter cannot be taken off again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from converger.proof.inside import isolation

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or platform.machine() not in isolation._ARCHITECTURES,
    reason="the filter exists for Linux on x86_64, aarch64 and riscv64",
)

SCRIPT = Path(isolation.__file__)


def run(code: str, *arguments: str, cut: bool = True) -> subprocess.CompletedProcess[str]:
    """Run Python code in a fresh process, after `cut_network` unless told otherwise."""
    lines = ["import sys", f"sys.path.insert(0, {str(SCRIPT.parent)!r})", "from isolation import cut_network"]
    if cut:
        lines.append("assert cut_network() is None, cut_network()")
    source = "\n".join([*lines, textwrap.dedent(code)])
    return subprocess.run(
        [sys.executable, "-c", source, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def says(code: str, *arguments: str, cut: bool = True) -> str:
    """What the code prints; it must end well."""
    done = run(code, *arguments, cut=cut)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Decoy:
    """Servers on 127.0.0.1 that stand for production: one for TCP, one for UDP."""

    def __init__(self) -> None:
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.tcp.setblocking(False)
        self.udp.setblocking(False)
        self.ports = [str(self.tcp.getsockname()[1]), str(self.udp.getsockname()[1])]

    def visits(self) -> int:
        count = 0
        for look in (self.tcp.accept, lambda: self.udp.recv(100)):
            with contextlib.suppress(BlockingIOError):
                found = look()
                count += 1
                if isinstance(found, tuple):
                    found[0].close()
        return count


@pytest.fixture
def decoy() -> Iterator[Decoy]:
    decoy = Decoy()
    yield decoy
    decoy.tcp.close()
    decoy.udp.close()


VISIT = """
import socket
tcp, udp = int(sys.argv[1]), int(sys.argv[2])
def attempt(what):
    try:
        what()
    except OSError as error:
        print(error.errno, end=" ")
    else:
        print("reached", end=" ")
attempt(lambda: socket.create_connection(("127.0.0.1", tcp), timeout=5).close())
attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", udp)))
"""


def test_the_decoy_sees_a_process_that_has_a_network(decoy: Decoy) -> None:
    assert says(VISIT, *decoy.ports, cut=False) == "reached reached"
    assert decoy.visits() == 2


def test_neither_tcp_nor_udp_reaches_the_decoy(decoy: Decoy) -> None:
    assert says(VISIT, *decoy.ports) == f"{errno.ENETUNREACH} {errno.ENETUNREACH}"
    assert decoy.visits() == 0


def test_what_it_starts_has_no_network_either(decoy: Decoy) -> None:
    code = """
    import subprocess, multiprocessing, os, threading
    tcp = int(sys.argv[1])
    bash = subprocess.run(["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/%d" % tcp], stderr=subprocess.DEVNULL)
    connect = "import socket; socket.create_connection(('127.0.0.1', %d), 5)" % tcp
    python = subprocess.run([sys.executable, "-c", connect], stderr=subprocess.DEVNULL, start_new_session=True)
    def visit():
        exec(connect)
    child = multiprocessing.get_context("fork").Process(target=visit)
    child.start()
    child.join()
    failed = []
    def threaded():
        try:
            visit()
        except OSError as error:
            failed.append(error.errno)
    thread = threading.Thread(target=threaded)
    thread.start()
    thread.join()
    print(bash.returncode != 0, python.returncode, child.exitcode, failed)
    """
    assert says(code, *decoy.ports) == f"True 1 1 [{errno.ENETUNREACH}]"
    assert decoy.visits() == 0


def test_a_thread_that_was_there_before_has_no_network_either(decoy: Decoy) -> None:
    code = """
    import socket, threading
    go, ready, result = threading.Event(), threading.Event(), []
    def wait():
        ready.set()
        go.wait()
        try:
            socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5)
        except OSError as error:
            result.append(error.errno)
    thread = threading.Thread(target=wait)
    thread.start()
    ready.wait()
    print(cut_network(), end=" ")
    go.set()
    thread.join()
    print(result)
    """
    assert says(code, *decoy.ports, cut=False) == f"None [{errno.ENETUNREACH}]"
    assert decoy.visits() == 0


def test_a_connection_that_was_open_before_is_taken_away(decoy: Decoy) -> None:
    code = """
    import os, socket
    early = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    early.connect(("127.0.0.1", int(sys.argv[2])))
    ours, theirs = socket.socketpair()
    print(cut_network(), os.readlink("/proc/self/fd/%d" % early.fileno()), os.get_inheritable(early.fileno()))
    try:
        early.send(b"x")
    except OSError as error:
        print(error.errno)
    ours.send(b"kept")
    print(theirs.recv(10))
    """
    expected = f"None /dev/null False\n{errno.ENOTSOCK}\nb'kept'"
    assert says(code, *decoy.ports, cut=False) == expected
    assert decoy.visits() == 0


def test_every_family_but_unix_is_refused() -> None:
    code = """
    import errno, socket
    def attempt(make, *arguments):
        try:
            for made in [make(*arguments)]:
                return "made"
        except OSError as error:
            return errno.errorcode[error.errno]
    kept = {socket.AF_UNIX}
    for family in range(50):
        if family != 16:
            print(family, {attempt(socket.socket, family, kind) for kind in (1, 2, 3, 5)})
    print("netlink", [attempt(socket.socket, 16, 3, protocol) for protocol in (0, 2, 4, 9, 12, 15, 16)])
    print("pair", attempt(socket.socketpair), attempt(socket.socketpair, 30), attempt(socket.socketpair, 2))
    """
    *families, netlink, pair = says(code).splitlines()
    assert netlink == f"netlink {['made'] + ['ENETUNREACH'] * 6}"
    assert pair == "pair made ENETUNREACH ENETUNREACH"
    refused = [line for line in families if not line.startswith("1 ")]
    assert len(refused) == 48
    assert all(line.endswith(" {'ENETUNREACH'}") for line in refused)
    assert "made" in next(line for line in families if line.startswith("1 "))


def test_a_name_that_is_not_known_here_fails_at_once() -> None:
    code = """
    import socket
    try:
        socket.getaddrinfo("converger-test.invalid", 5432)
    except socket.gaierror as error:
        print("no address")
    print(socket.getaddrinfo("127.0.0.1", 5432, type=socket.SOCK_STREAM)[0][4])
    """
    began = time.monotonic()
    assert says(code) == "no address\n('127.0.0.1', 5432)"
    assert time.monotonic() - began < 4  # a resolver that has a network waits 5 seconds


def test_the_usual_things_work() -> None:
    code = """
    import asyncio, concurrent.futures, multiprocessing, os, socket, sqlite3, subprocess, tempfile, threading, uuid
    async def main():
        process = await asyncio.create_subprocess_exec("echo", "hello", stdout=subprocess.PIPE)
        out, _ = await process.communicate()
        assert out == b"hello\\n"
        async def answer(reader, writer):
            writer.write(await reader.readline())
            writer.close()
        with tempfile.TemporaryDirectory() as folder:
            server = await asyncio.start_unix_server(answer, folder + "/s")
            reader, writer = await asyncio.open_unix_connection(folder + "/s")
            writer.write(b"echo\\n")
            assert await reader.readline() == b"echo\\n"
            writer.close()
            server.close()
        await asyncio.get_running_loop().run_in_executor(None, os.getpid)
    asyncio.run(main())
    def square(x):
        return x * x
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(square, [1, 2, 3]) == [1, 4, 9]
    with multiprocessing.get_context("fork").Manager() as manager:
        assert manager.dict(a=1)["a"] == 1
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        assert list(threads.map(square, [2])) == [4]
    database = sqlite3.connect(":memory:")
    assert database.execute("SELECT 1").fetchone() == (1,)
    assert uuid.getnode() and uuid.uuid1()
    assert socket.getfqdn() and socket.gethostname()
    assert "lo" in [name for _, name in socket.if_nameindex()]
    assert socket.if_nametoindex("lo") > 0
    assert subprocess.run(["sh", "-c", "exit 3"]).returncode == 3
    assert cut_network() is None
    print("fine")
    """
    assert says(code) == "fine"


def test_it_cannot_reach_into_the_process_that_started_it(decoy: Decoy) -> None:
    """Not by the system calls that take a descriptor, or the memory, of another process of the same user."""
    code = """
    import ctypes, errno, os, platform
    libc = ctypes.CDLL(None, use_errno=True)
    numbers = dict(x86_64=(101, 310, 311)).get(platform.machine(), (117, 270, 271))
    parent = os.getppid()
    pidfd = os.pidfd_open(parent)
    buffer = ctypes.create_string_buffer(8)
    class Iovec(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
    vector = Iovec(ctypes.addressof(buffer), 8)
    calls = [(438, pidfd, int(sys.argv[1]), 0), (numbers[0], 16, parent, 0, 0)]
    calls += [(number, parent, ctypes.byref(vector), 1, ctypes.byref(vector), 1, 0) for number in numbers[1:]]
    for call in calls:
        assert libc.syscall(*call) == -1
        print(errno.errorcode[ctypes.get_errno()], end=" ")
    """
    assert says(code, str(decoy.tcp.fileno())) == "EPERM EPERM EPERM EPERM"


def test_io_uring_is_not_there() -> None:
    code = """
    import ctypes, errno
    libc = ctypes.CDLL(None, use_errno=True)
    for number in (425, 426, 427):
        print(libc.syscall(number, 4, ctypes.create_string_buffer(200), 0, 0, 0, 0), ctypes.get_errno() == errno.ENOSYS)
    """
    assert says(code) == "-1 True\n-1 True\n-1 True"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="these ABIs are of x86_64")
def test_other_abis_are_refused() -> None:
    x32 = """
    import ctypes, errno
    libc = ctypes.CDLL(None, use_errno=True)
    print(libc.syscall(0x40000000 + 41, 2, 1, 0), ctypes.get_errno() == errno.ENOSYS)
    """
    assert says(x32) == "-1 True"
    # mov eax, 359 (socket); mov ebx, 2 (AF_INET); mov ecx, 1; xor edx, edx; int 0x80; ret - with rbx kept.
    i386 = """
    import ctypes, mmap
    code = bytes.fromhex("53 b867010000 bb02000000 b901000000 31d2 cd80 5b c3")
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    print("made", ctypes.CFUNCTYPE(ctypes.c_int)(address)())
    """
    assert run(i386).returncode == -signal.SIGSYS


def test_a_set_user_id_program_gets_no_rights() -> None:
    code = """
    print(next(line for line in open("/proc/self/status") if line.startswith("NoNewPrivs")).split()[1])
    """
    assert says(code) == "1"


def test_where_it_cannot_be_done_it_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert isolation.cut_network() == "only Linux can do this"
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "h", "6.1", "1", "s390x")))
    assert isolation.cut_network() == "it is not known how on this processor (s390x)"
    socket.socket().close()  # and nothing was done to this process


def test_a_system_that_refuses_the_filter_is_not_taken_for_safe() -> None:
    """A filter of ours that stands for a container's, under which seccomp(2) is forbidden."""
    code = """
    import errno, isolation, socket
    first = isolation.assemble
    def forbidding(known):
        return [(0x20, 0, 0, 0), (0x15, 0, 1, known["seccomp"]), (6, 0, 0, 0x50000 | errno.EPERM), (6, 0, 0, 0x7FFF0000)]
    isolation.assemble = forbidding
    print(cut_network())  # it does not stop sockets: the trial finds that out
    isolation.assemble = first
    print(cut_network())
    socket.socket().close()
    """
    assert says(code, cut=False).splitlines() == [
        "the system accepts the filter and does not obey it",
        "the system does not allow it (Operation not permitted)",
    ]


# -- the filter itself, for the processors that we are not on


def decide(machine: str, number: int, *arguments: int, audit: int | None = None) -> int:
    """What the kernel's classic BPF machine answers for a system call."""
    known = isolation._ARCHITECTURES[machine]
    words = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("<IIQ6Q", number, known["audit"] if audit is None else audit, 0, *words)
    program = isolation.assemble(known)
    place, accumulator = 0, 0
    while True:
        code, if_true, if_false, value = program[place]
        place += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif code == 0x15:
            place += if_true if accumulator == value else if_false
        elif code == 0x35:
            place += if_true if accumulator >= value else if_false
        else:
            assert code == 0x06
            return value


ALLOW, KILL = 0x7FFF0000, 0x80000000
# From the kernel's own headers: audit value, socket, socketpair, ptrace, process_vm_readv, process_vm_writev, read.
HEADERS = {
    "x86_64": (62 | 0xC0000000, 41, 53, 101, 310, 311, 0),
    "aarch64": (183 | 0xC0000000, 198, 199, 117, 270, 271, 63),
    "riscv64": (243 | 0xC0000000, 198, 199, 117, 270, 271, 63),
}


@pytest.mark.parametrize("machine", HEADERS)
def test_the_filter_decides_as_it_should_on_every_processor(machine: str) -> None:
    audit, sock, pair, *forbidden, read = HEADERS[machine]
    refuse = 0x50000 | errno.ENETUNREACH
    assert isolation._ARCHITECTURES[machine]["audit"] == audit
    assert decide(machine, read) == ALLOW
    assert decide(machine, sock, socket.AF_UNIX, 1, 0) == ALLOW
    assert decide(machine, pair, socket.AF_UNIX, 1, 0) == ALLOW
    # The kernel takes an int: whatever the upper half of the register holds.
    assert decide(machine, sock, (1 << 32) | socket.AF_INET) == refuse
    assert decide(machine, sock, (7 << 32) | socket.AF_UNIX) == ALLOW
    assert {decide(machine, sock, family) for family in range(2, 200) if family != 16} == {refuse}
    assert decide(machine, sock, 0) == refuse
    assert decide(machine, sock, 0xFFFFFFFF) == refuse
    assert decide(machine, sock, 16, 3, 0) == ALLOW
    assert {decide(machine, sock, 16, 3, protocol) for protocol in range(1, 32)} == {refuse}
    assert {decide(machine, pair, family) for family in range(200) if family != 1} == {refuse}
    assert {decide(machine, number) for number in (*forbidden, 438)} == {0x50000 | errno.EPERM}
    assert {decide(machine, number) for number in (425, 426, 427)} == {0x50000 | errno.ENOSYS}
    others = set(range(500)) - {sock, pair, *forbidden, 425, 426, 427, 438}
    assert {decide(machine, number) for number in others} == {ALLOW}
    assert decide(machine, read, audit=3 | 0x40000000) == KILL
    assert decide(machine, sock, 1, audit=audit ^ 0x80000000) == KILL


def test_the_filter_knows_the_second_abi_of_x86_64() -> None:
    for number in (0x40000000, 0x40000000 + 41, 0x40000000 + 512, 0xFFFFFFFF):
        assert decide("x86_64", number, socket.AF_INET) == 0x50000 | errno.ENOSYS


# -- a server, which is connected to and connects to nobody


def kept(code: str, *arguments: str) -> str:
    """What the code prints where it is kept from connecting."""
    source = "from isolation import keep_from_connecting\nassert keep_from_connecting() is None\n"
    done = run(source + textwrap.dedent(code), *arguments, cut=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_program_of_the_server_reaches_nobody(postgres_url: str, decoy: Decoy) -> None:
    """A statement that no look at its text can see: it is put together in the server."""
    tcp, udp = decoy.ports
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        for way in (f"tcp/127.0.0.1/{tcp}", f"udp/127.0.0.1/{udp}"):
            shell = f"bash -c 'echo hello > /dev/{way}'"
            statement = f"COPY (SELECT 1) TO PROGRAM $sh${shell}$sh$"
            with pytest.raises(psycopg.errors.ExternalRoutineException):
                connection.execute(f"DO $do$ BEGIN EXECUTE $x${statement}$x$; END $do$".encode())
        connection.execute("COPY (SELECT 1) TO PROGRAM 'cat > /dev/null'")  # so it is not the program's lack
    assert decoy.visits() == 0


def test_it_takes_connections() -> None:
    source = f"""
import socket, sys
sys.path.insert(0, {str(SCRIPT.parent)!r})
from isolation import keep_from_connecting
assert keep_from_connecting() is None
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
taken, _ = listening.accept()
taken.sendall(b"hello " + taken.recv(10))
"""
    with subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(b"you")
            assert connection.recv(20) == b"hello you"


@pytest.mark.parametrize(
    "work",
    [
        "socket.create_connection(('127.0.0.1', tcp))",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', udp))",
        "socket.socket().sendto(b'x', socket.MSG_FASTOPEN, ('127.0.0.1', tcp))",
        "socket.socket().sendmsg([b'x'], [], socket.MSG_FASTOPEN, ('127.0.0.1', tcp))",
        "socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)",
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)",
        "socket.socket(socket.AF_UNIX).connect('/run/docker.sock')",
    ],
    ids=["tcp", "udp", "sendto", "sendmsg", "mptcp", "netlink", "unix"],
)
def test_what_it_cannot(decoy: Decoy, work: str) -> None:
    code = f"""
        import errno, socket, sys
        tcp, udp = map(int, sys.argv[1:])
        try:
            {work}
        except OSError as error:
            print(errno.errorcode[error.errno])
    """
    assert kept(code, *decoy.ports) == "ENETUNREACH"
    assert decoy.visits() == 0
