"""Trials on a Ray that was started here take over workers that wait for work: they ask for nothing of their own."""

from __future__ import annotations

from typing import Any

from ray.tune.execution.class_cache import _ActorClassCache

from tune_runs.ray_cluster.local_start import trials_take_any_worker
from tune_runs.ray_cluster.session import _LOCAL, _QUIET


class Trial:
    """Stands for the class that Tune makes of a trainable."""


def environment_of(actor: Any) -> dict[str, str]:
    return dict((actor._default_options.get("runtime_env") or {}).get("env_vars", {}))


def test_trials_in_the_block_have_no_environment_of_their_own_and_later_ones_have() -> None:
    cache = _ActorClassCache()
    with trials_take_any_worker():
        inside = cache.get(Trial)
        assert cache.get(Trial) is inside, "one class for all trials"
    assert environment_of(inside) == {}
    after = environment_of(_ActorClassCache().get(Trial))
    ours = {name: value for name, value in (_QUIET | _LOCAL).items() if name in after}
    assert ours == after, "workers of a Ray that was started here have all that Tune would set"
    assert "PL_DISABLE_FORK" in after
