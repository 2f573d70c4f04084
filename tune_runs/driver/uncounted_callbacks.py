"""A search without Tune's count of callbacks for its usage statistics; import this module in a `ray_session` only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ray.air._internal import usage

from tune_runs.ray_cluster.replaced import replaced


@contextmanager
def callbacks_uncounted() -> Iterator[None]:
    """Let a search that starts in the block begin without the count.

    Tune imports every tracker that it knows, to see which of them the callbacks are: W&B and MLflow, where they are
    installed, take two to three seconds, in which no trial starts.
    """
    with replaced(usage, tag_callbacks=lambda _callbacks: False):
        yield
