"""Signals that end a search."""

from __future__ import annotations

import os
import signal

import pytest

from tune_runs.stop_request import stop_request


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_asks_and_second_does_not_wait(number: signal.Signals) -> None:
    earlier = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    with stop_request() as stop:
        assert not stop.stop_all()
        os.kill(os.getpid(), number)
        assert stop.stop_all()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == earlier


def test_disk_error_asks_too_and_is_kept() -> None:
    with stop_request() as stop:
        stop.set_error(OSError(28, "No space left on device"))
        assert stop.stop_all()
        assert stop.error is not None
