"""A signal waits until nothing is half done."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from gnnpot.system.signals import held_signals


@pytest.fixture(autouse=True)
def usual_ctrl_c() -> Iterator[None]:
    """Python's own handler, whatever a job in the background or another test has left there."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_comes_when_it_is_let_through():
    reached = []

    def work() -> None:
        with held_signals() as release:
            interrupt()
            reached.append("half done")
            release()
            reached.append("never")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert reached == ["half done"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_comes_at_the_end_if_nobody_asked():
    reached = []

    def work() -> None:
        with held_signals():
            interrupt()
            reached.append("done")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert reached == ["done"]


def test_a_second_ctrl_c_comes_at_once():
    reached = []

    def work() -> None:
        with held_signals():
            interrupt()
            interrupt()
            reached.append("never")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert not reached


def test_signals_that_end_the_process_are_left_alone():
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with held_signals():
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_nothing_changes_in_other_threads():
    said = []

    def work() -> None:
        with held_signals() as release:
            release()
            said.append("worked")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert said == ["worked"]
