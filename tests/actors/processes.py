"""What this process has started, read from /proc: its descendants and where they listen."""

import os
import re
import socket
from pathlib import Path

from tests.waiting import PATIENCE

SILENT_SECONDS = 20.0
"""A server that has said nothing for so long will not."""


def descendants(pid=None):
    """{pid: title} of all processes below one, by default below this one; no zombies."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            stat = (path / "stat").read_text()
            title = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        state, parent = stat.rpartition(")")[2].split()[:2]
        if state != "Z":
            parents[int(path.name)] = int(parent), title.strip()
    found, front = {}, [os.getpid() if pid is None else pid]
    while front:
        front = [p for p, (parent, _) in parents.items() if parent in front]
        found |= {p: parents[p][1] for p in front}
    return found


def titled(name):
    """The pids below this process whose title begins so; `ray::WorkerActor` is a host's."""
    return sorted(p for p, title in descendants().items() if title.startswith(name))


def listening(pids):
    """[(pid, address, port)] of the TCP sockets on which these processes listen; an address of
    0.0.0.0 stands for all."""
    open_at = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            parts = line.split()
            if parts[3] == "0A":
                host, port = parts[1].split(":")
                words = [bytes.fromhex(host[i : i + 8])[::-1] for i in range(0, len(host), 8)]
                everywhere = not any(map(any, words))
                address = "0.0.0.0" if everywhere else socket.inet_ntoa(words[-1])
                open_at[parts[9]] = address, int(port, 16)
    return [(pid, *open_at[i]) for pid in pids for i in sorted(sockets(pid) & open_at.keys())]


def listeners(pids):
    """The sockets in the file system at which these hosts wait for their clearing house."""
    table = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    waiting = {t[6]: t[7] for t in table if t[3] == "00010000" and "/mos-" in t[-1]}
    return [waiting[i] for pid in pids for i in sockets(pid) & waiting.keys()]


def sockets(pid):
    """The numbers of all sockets that a process holds."""
    try:
        links = [os.readlink(f) for f in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return set()
    return {m[1] for link in links if (m := re.fullmatch(r"socket:\[(\d+)\]", link))}


def asked_without_a_token(address, port, path, token=None):
    """What a gRPC server answers to an empty request for `path`, raw; b"" where it hangs up.

    Written by hand, byte for byte as RFC 9113 and 7541 have it, so that nothing adds a token.
    """

    def frame(kind, flags, stream, data):
        return (
            len(data).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + data
        )

    def literal(name, value):
        return b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()

    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "here",
        "te": "trailers",
        "content-type": "application/grpc",
    }
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    request = (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        + frame(4, 0, 0, b"")
        + frame(1, 4, 1, b"".join(literal(*pair) for pair in headers.items()))
        + frame(0, 1, 1, bytes(5))
    )
    host = "127.0.0.1" if address == "0.0.0.0" else address
    answer = b""
    with socket.create_connection((host, port), PATIENCE) as line:
        line.settimeout(SILENT_SECONDS)
        line.sendall(request)
        try:
            while b"grpc-status" not in answer and (more := line.recv(65536)):
                answer += more
        except OSError:
            pass
    return answer
