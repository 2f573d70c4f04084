"""A whole search on the Ray of this process: start its workers, read its images, lock its folder, and drive it.

Ray starts processes while this one reads torch and images, so what needs those is imported inside the function.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout
from rich.console import Console

from absgd import records
from absgd.counts import plural
from absgd.errors import UserError
from absgd.records.environment import add_session
from tune_runs.console_table import print_sentence
from tune_runs.ray_cluster.session import NodeSize, is_started_here, node_sizes
from tune_runs.request.search_request import SearchRequest, SearchStatus, is_unbegun
from tune_runs.space.model import SearchSpace
from tune_runs.trial.disk_budget import remove_unfinished
from tune_runs.trunks.scenario_plan import plan_scenarios

if TYPE_CHECKING:
    from ray.tune import Callback


def run_search(
    request: SearchRequest,
    console: Console,
    callbacks: Sequence[Callback] = (),
    between_events: Callable[[], None] | None = None,
    near_end: Callable[[], None] | None = None,
) -> SearchStatus:
    """Search every scenario of the space, record the search, and print its results; call it in a `ray_session`.

    Args:
        request: the request.
        console: prints what is done, the live table and the summary.
        callbacks: of Ray Tune, from the user; are told of all events.
        between_events: called by the driver between two events, when the records of the search agree.
        near_end: called once when at most a minute of confirmation is left, if that can be foreseen.

    Returns:
        How it ended.

    Raises:
        UserError: before anything is created, if data, resources or the folder are not as the space needs them.
        SearchInterrupted: after Ctrl-C or SIGTERM.
        SearchFailed: if the records cannot be written, Ray gives up, or every further trial would fail.
        OSError: if no worker of Ray starts.
    """
    from tune_runs.ray_cluster.image_store import ImageStore

    nodes = node_sizes()
    request = dataclasses.replace(request, space=request.space.on(sum(node.gpus for node in nodes)))
    num_concurrent = _num_concurrent(request.space, nodes)
    with closing(ImageStore()) as image_store:
        from tune_runs.driver.drive import drive
        from tune_runs.image_checks import checked_images
        from tune_runs.ray_cluster.worker_check import check_workers

        splits = checked_images(request)
        plans = plan_scenarios(request.space)
        if not is_started_here():
            check_workers()
        image_store.wait_for_start()
        _make_trunks_folder(request.space)
        with _locked_folder(request):
            print_sentence(console, f"training, {num_concurrent} at a time; the first result follows the first epoch")
            return drive(
                request, plans, splits, image_store, num_concurrent, console, callbacks, between_events, near_end
            )


def _make_trunks_folder(space: SearchSpace) -> None:
    if space.trunks is None:
        return
    try:
        Path(space.trunks).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=space.trunks):
            pass
    except OSError as error:
        raise UserError(f"cannot write to {space.trunks}: {error.strerror or error} (trunks)") from None


def _num_concurrent(space: SearchSpace, nodes: list[NodeSize]) -> int:
    """Return the number of simultaneous trials; each needs one node that has all of its resources."""
    trials = sum(space.resources.concurrent(node.cpus, node.gpus) for node in nodes)
    if trials == 0:
        largest = ", ".join(f"{plural(node.cpus, 'CPU')} and {plural(node.gpus, 'GPU')}" for node in nodes)
        raise UserError(
            f"expected resources of a trial that fit on one node ({largest}), such as "
            f"{space.resources.nearest_that_fit(nodes)}, got {space.resources.words} (resources)"
        )
    return trials


@contextmanager
def _locked_folder(request: SearchRequest) -> Iterator[None]:
    """Lock the run folder for this process, and write its space and environment."""
    from absgd.training import gpu_names

    folder = request.folder
    lock = FileLock(folder / records.LOCK_FILE, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        if not request.is_resume and not is_unbegun(folder):
            raise FileExistsError
        remove_unfinished(folder)
        (folder / records.RESUME_NOTE_FILE).unlink(missing_ok=True)
        request.begin()
        add_session(folder / records.ENVIRONMENT_FILE, gpu_names())
    except Timeout:
        raise UserError(f"{folder} is in use by another absgd-tune (--resume)") from None
    except FileExistsError:
        raise UserError(f"{folder} exists: give another `--name` (name)") from None
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror or error} (--out)") from None
    try:
        yield
    finally:
        lock.release()
