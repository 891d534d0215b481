"""Programs that do what hostile model code would: run as if a payload had got through, in every engine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Program:
    """One hostile program.

    Attributes:
        name: of the case.
        source: what it runs; ``@OUTSIDE@`` and ``@HOME@`` are folders of the host that it may not see,
            ``@PORT@`` is a port of the host that somebody listens on.
        ended: how the run ends; empty for any end but a good one.
        reason: part of the reason that porter gives; empty where the program ends by itself.
        says: what it prints at its end; None where nobody asks.
        limits: bounds of its run beside the time.
    """

    name: str
    source: str
    ended: str = "exited"
    reason: str = ""
    says: str | None = "refused"
    limits: tuple[tuple[str, int], ...] = ()


def _tries(*attempts: str) -> str:
    """Return a program that makes every attempt and says what none of them got past."""
    lines = ["import os, socket, subprocess, sys, ctypes, signal, pathlib", "through = []"]
    for number, attempt in enumerate(attempts):
        lines += [
            "try:",
            f"    if ({attempt}) is not False: through.append({number})",
            "except BaseException: pass",
        ]
    return "\n".join([*lines, "print(f'through: {through}' if through else 'refused')"])


_LIBC = "ctypes.CDLL(None, use_errno=True)"
_SPREAD = """
import os, pathlib
places = "/ /usr /etc /root /home /var /opt /srv /boot /lib /sys @HOME@ @OUTSIDE@".split()
for folder, _, _ in os.walk("/"):
    if folder.startswith(("/proc", "/sys", "/dev/fd")): continue
    places.append(folder)
    if len(places) > 3000: break
for place in places:
    try: pathlib.Path(place, "porter-canary-ran").write_text("ran")
    except OSError: pass
print("refused")
"""
_MEMORY = "blocks = []\nwhile True: blocks.append(bytearray(64 * 2**20))\n"
_CHILDREN = """
import os
for _ in range(4):
    if os.fork() == 0:
        blocks = []
        while True: blocks.append(bytearray(32 * 2**20))
for _ in range(4):
    os.wait()
raise SystemExit(5)
"""
_FORK = """
import os
while True:
    try: os.fork()
    except OSError: pass
"""
_STAY = """
import os, signal, time
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
if os.fork() == 0:
    os.setsid()
    while True: time.sleep(1)
while True: time.sleep(1)
"""
_DISK = """
number = 0
while True:
    with open(f"file-{number}", "wb") as file: file.write(bytes(8 * 2**20))
    number += 1
"""
_TMP = """
try:
    with open("/tmp/big", "wb") as file:
        while True: file.write(bytes(2**20))
except OSError: print("refused")
"""
_FLOOD = "import sys\nfor _ in range(90): sys.stdout.write('x' * 2**20)\nprint()\nprint('refused')\n"
_ESCAPES = "import sys\nsys.stdout.write('\\x1b]0;owned\\x07\\x1b[2J\\x1b[1;1Hrefused\\r\\n')\n"
_ANSWER = """
import os
os.symlink("/etc/shadow", "answer.json")
os.mkfifo("pipe")
os.symlink("@OUTSIDE@", "link")
os.link("answer.json", "hard")
print("refused")
"""
_SECRETS = """
import os, pathlib
found = []
for path in pathlib.Path("/proc").glob("[0-9]*/*"):
    if path.name in ("environ", "cmdline"):
        try: data = path.read_bytes()
        except OSError: continue
        if b"c4nary" + b"OfThe" in data: found.append(str(path))
found += [name for name, value in os.environ.items() if "c4nary" + "OfThe" in value]
for name in ("@HOME@/.ssh/id", "@HOME@/.cache/huggingface/token", "/root/.netrc", "/run/secrets/token"):
    try: found.append(open(name).read())
    except OSError: pass
print(f"through: {found}" if found else "refused")
"""

PROGRAMS: tuple[Program, ...] = (
    Program("writes wherever it can", _SPREAD),
    Program("reads secrets", _SECRETS),
    Program(
        "reads files of the host",
        _tries("open('/etc/shadow').read()", "open('@OUTSIDE@/file').read()", "open('@HOME@/file').read()"),
    ),
    Program(
        "connects to the host and the world",
        _tries(
            "socket.create_connection(('127.0.0.1', @PORT@), 2)",
            "socket.create_connection(('1.1.1.1', 53), 2)",
            "socket.getaddrinfo('example.org', 80)",
            "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('8.8.8.8', 53))",
            "socket.create_connection(('169.254.169.254', 80), 2)",
        ),
    ),
    Program(
        "talks to an engine's socket",
        _tries(
            *(
                f"socket.socket(socket.AF_UNIX).connect({path!r})"
                for path in ("/var/run/docker.sock", "/run/docker.sock", "/run/podman/podman.sock")
            )
        ),
    ),
    Program(
        "raises its rights",
        _tries(
            "os.setuid(0)",
            "os.setgid(0)",
            "os.setgroups([0])",
            "os.chown('.', 0, 0)",
            "os.mknod('device', 0o20666, os.makedev(1, 1))",
            "os.chroot('/')",
            f"{_LIBC}.mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0",
            f"{_LIBC}.unshare(0x20000) == 0",
            f"{_LIBC}.setns(os.open('/proc/1/ns/mnt', 0), 0) == 0",
            "open('/proc/sys/kernel/core_pattern', 'w').write('x')",
            "open('/sys/fs/cgroup/memory/release_agent', 'w').write('x')",
            "open('/dev/kmsg', 'w').write('x')",
            "open('/dev/mem').read(1)",
        ),
    ),
    Program("forks without end", _FORK, "timeout", "longer than", None, (("processes", 50), ("seconds", 3))),
    Program("takes all memory", _MEMORY, "", "", None, (("memory_bytes", 300 * 2**20),)),
    Program("takes all memory in children", _CHILDREN, "", "", None, (("memory_bytes", 300 * 2**20),)),
    Program("loops without end", "while True: pass", "timeout", "longer than", None, (("seconds", 2),)),
    Program("ignores every signal and detaches", _STAY, "timeout", "longer than", None, (("seconds", 2),)),
    Program(
        "fills the disk with many files",
        _DISK,
        "killed",
        "it wrote more than",
        None,
        (("written_bytes", 64 * 2**20), ("seconds", 60)),
    ),
    Program("fills its temporary folder", _TMP, limits=(("memory_bytes", 400 * 2**20),)),
    Program("floods the log", _FLOOD, says=None),
    Program("drives the terminal", _ESCAPES),
    Program("answers with links", _ANSWER),
    Program("crashes", "import os\nos.abort()", says=None),
    Program("kills everything", "import os\nos.kill(-1, 9)", "", "", None),
)
