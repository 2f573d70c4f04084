"""Requests that end a search early."""

from __future__ import annotations

import os
import signal

import pytest

from tune_runs.driver.stop_request import StopRequest, signals_to


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_asks_and_second_does_not_wait(number: signal.Signals) -> None:
    earlier = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    stop = StopRequest()
    with signals_to(stop):
        assert not stop.stop_all()
        os.kill(os.getpid(), number)
        assert stop.stop_all()
        assert stop.is_interrupted
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == earlier


def test_closed_terminal_asks_and_its_second_signal_does_not_hurry() -> None:
    stop = StopRequest()
    with signals_to(stop):
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.is_interrupted
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)


def test_each_reason_asks_and_is_kept_apart() -> None:
    full, failing, ended = StopRequest(), StopRequest(), StopRequest()
    full.record_error(OSError(28, "No space left on device"))
    failing.fail("everything fails")
    ended.end_on_budget("the disk budget was used up")
    assert all(stop.stop_all() for stop in (full, failing, ended))
    assert [(stop.error is not None, stop.failure, stop.used_budget) for stop in (full, failing, ended)] == [
        (True, None, None),
        (False, "everything fails", None),
        (False, None, "the disk budget was used up"),
    ]


def test_budget_is_asked_until_it_is_used_up() -> None:
    answers = iter([None, None, "the time budget was used up"])
    stop = StopRequest(lambda: next(answers))
    assert [stop.stop_all() for _ in range(4)] == [False, False, True, True]
    assert stop.used_budget == "the time budget was used up"
