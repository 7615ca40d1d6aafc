"""A process that labels what it is sent: ``python -m gnnpot.labeling.worker DESCRIPTOR``.

It speaks through a socket of its own, so that an engine may print what it likes.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Thread
from typing import Any

from gnnpot.labeling.labeler import attempt

_LONGEST_LOG = 1_000_000  # bytes


def main() -> None:
    """Label until the socket closes; then nothing that was started here lives on."""
    connection = Connection(int(sys.argv[1]))
    tasks: SimpleQueue[Any] = SimpleQueue()
    Thread(target=_listen, args=(connection, tasks), daemon=True).start()
    labeler = pickle.loads(tasks.get())
    connection.send(("ready", ""))
    while True:
        key, atoms = tasks.get()
        connection.send((key, attempt(labeler, atoms)))
        if os.fstat(1).st_size > _LONGEST_LOG:
            os.ftruncate(1, 0)
            os.lseek(1, 0, os.SEEK_SET)


def _listen(connection: Connection, tasks: SimpleQueue[Any]) -> None:
    try:
        while True:
            for task in connection.recv():
                tasks.put(task)
    except (EOFError, OSError):  # the main process is gone
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
