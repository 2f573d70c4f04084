"""A large search that is resumed: what that costs, and what each call of its driver does."""

from __future__ import annotations

import gc
import os
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.driver_scale.pretend_search import PretendSearch, pretend_space


def measure_resume(folder: Path, trials: int, epochs: int, concurrent: int) -> dict[str, Any]:
    """Resume the search in a folder for as many trials more as train at the same time.

    Args:
        folder: run folder of `trials` trials that have ended.
        trials: number of trials in it.
        epochs: epochs of each.
        concurrent: trials that train at the same time, and that are added.

    Returns:
        The columns of the benchmark: seconds for a resume, milliseconds for calls, bytes for a row.
    """
    gc.collect()
    before, started = _resident_bytes(), time.perf_counter()
    pretended = PretendSearch(pretend_space(trials + concurrent, epochs), folder, concurrent)
    resume_s, growth = time.perf_counter() - started, _resident_bytes() - before
    rows = sum(map(len, pretended.search.recorder.epochs.values()))
    times = pretended.run()
    return {
        "trials": trials,
        "epoch_rows": rows,
        "resume_s": resume_s,
        "report": _in_ms(times.reports),
        "end": _in_ms(times.ends),
        "ask": _in_ms(times.asks),
        "reports_per_s": times.reports_per_s,
        "bytes_per_row": growth / rows,
    }


def _in_ms(seconds: list[float]) -> dict[str, float]:
    ms = [1e3 * one for one in seconds]
    return {"median": statistics.median(ms), "mean": statistics.fmean(ms), "max": max(ms), "n": len(ms)}


def _resident_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
