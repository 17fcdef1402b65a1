"""Requests to stop: what they do depends on what the run is at."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path

import pytest

from cxlsfind.errors import StoppedError
from cxlsfind.parallel.signals import Reaction, stop_requests

ROOT = Path(__file__).resolve().parents[2]
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def ask(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_request_is_raised_or_noted(number: int) -> None:
    """Before work it raises; during a block only the second does; at the end none does."""
    with stop_requests() as stop:
        stop.reaction = Reaction.RAISE
        with pytest.raises(StoppedError, match=signal.Signals(number).name):
            ask(number)
    with stop_requests() as stop:
        stop.reaction = Reaction.FINISH_BLOCK
        stop.check()
        ask(number)
        assert stop.is_made
        with pytest.raises(StoppedError, match=signal.Signals(number).name):
            stop.check()
        with pytest.raises(StoppedError):
            ask(number)
    with stop_requests() as stop:
        stop.reaction = Reaction.NOTE
        ask(number)
        ask(number)
        assert stop.is_made


@pytest.mark.parametrize("number", SIGNALS)
def test_a_request_is_not_lost_in_a_callback(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python drops what is raised while an object goes away; the request is made again."""

    class Short:
        pass

    with stop_requests() as stop:
        stop.reaction = Reaction.RAISE
        short = Short()
        watch = weakref.ref(short, lambda _: ask(number))
        del short
        assert watch() is None
        assert stop.is_made
        with pytest.raises(StoppedError, match=signal.Signals(number).name):
            time.sleep(20.0)
    assert not capsys.readouterr().err


def test_other_dropped_exceptions_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """What is dropped and is no request to stop is said as Python says it."""

    class Faulty:
        def __del__(self) -> None:
            raise ValueError("out of paper")

    with stop_requests():
        faulty = Faulty()
        del faulty
    assert "out of paper" in capsys.readouterr().err


def test_ignored_signals_stay_ignored() -> None:
    """A run under nohup outlives its terminal; handlers of others are put back."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_requests() as stop:
            stop.reaction = Reaction.RAISE
            ask(signal.SIGHUP)
            assert not stop.is_made
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", SIGNALS)
def test_nothing_is_begun(number: int) -> None:
    """While the program is loading, a request ends it with one line and the code for it."""
    code = (
        "import os\n"
        "from cxlsfind.parallel.signals import stop_requests\n"
        f"with stop_requests(): os.kill(os.getpid(), {int(number)})\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 75
    assert ended.stderr == f"cxlsfind: stopped by {signal.Signals(number).name}\n"
