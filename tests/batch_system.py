"""A batch system of one machine: SLURM, with its own authentication, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged")
INSTALL = "apt-get install slurm-wlm, and root, whose daemons these are"
needs_slurm = pytest.mark.skipif(
    os.geteuid() != 0 or None in map(shutil.which, PROGRAMS), reason=f"needs SLURM: {INSTALL}"
)

CONFIGURATION = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/pgid
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@contextmanager
def slurm() -> Iterator[None]:
    """SLURM that takes jobs; its commands find it by the environment."""
    folder = Path(tempfile.mkdtemp(prefix="gnnpot-slurm-"))  # short, as the name of a socket must be
    folder.chmod(0o755)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    values = {
        "host": socket.gethostname(),
        "ports": _free_ports(2),
        "folder": folder,
        "cores": os.cpu_count(),
    }
    (folder / "slurm.conf").write_text(CONFIGURATION.format(**values))
    places = {"key-file": key, "socket": folder / "munge.socket", "log-file": folder / "munged.log",
              "pid-file": folder / "munged.pid", "seed-file": folder / "munged.seed"}  # fmt: skip
    munged = ["munged", "--foreground", "--force", *(f"--{name}={path}" for name, path in places.items())]
    daemons = [munged, ["slurmctld", "-D"], ["slurmd", "-D"]]
    patch = pytest.MonkeyPatch()
    patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
    running = []
    try:
        for words in daemons:
            running.append(subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            _wait(lambda: places["socket"].exists(), "the authentication")
        _wait(lambda: "idle" in _answer("sinfo", "--noheader", "--format=%T"), "SLURM")
        yield
    finally:
        for daemon in reversed(running):
            daemon.terminate()
            daemon.wait()
        patch.undo()
        shutil.rmtree(folder, ignore_errors=True)


def jobs() -> list[str]:
    """Numbers of the jobs that run."""
    return _answer("squeue", "--noheader", "--states=RUNNING", "--format=%i").split()


def cancel(job: str) -> None:
    """End a job."""
    subprocess.run(["scancel", job], check=True)


def _answer(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


def _wait(ready, name: str) -> None:
    for _ in range(300):
        if ready():
            return
        time.sleep(0.1)
    raise TimeoutError(f"{name} did not start in 30 s")


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports
