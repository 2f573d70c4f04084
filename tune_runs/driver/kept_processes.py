"""The processes that train trials, kept until the search ends; import this module in a `ray_session` only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.tune.execution import tune_controller
from ray.tune.utils.object_cache import _ObjectCache

from tune_runs.ray_cluster.replaced import replaced


class KeptProcesses(_ObjectCache):  # type: ignore[misc]
    """Keeps every idle process that Tune would use again, where Tune itself keeps one.

    While a trunk trains, the other runs wait for it and their processes are idle. Each that ends costs a start, which
    takes longer than many forks train. All runs of a search ask for the same resources, so there are never more
    processes than runs that train at once.
    """

    def cache_object(self, key: Any, obj: Any) -> bool:
        """Keep an idle process; Tune ends it otherwise."""
        self._cached_objects[key].append(obj)
        self._num_cached_objects += 1
        return True

    def flush_cached_objects(self, force_all: bool = False) -> Iterator[Any]:
        """Give the processes that are to end: all of them at the end of a search, before it none."""
        yield from super().flush_cached_objects(force_all=True) if force_all else ()


@contextmanager
def processes_kept() -> Iterator[None]:
    """Let a search that starts in the block keep its processes."""
    with replaced(tune_controller, _ObjectCache=KeptProcesses):
        yield
