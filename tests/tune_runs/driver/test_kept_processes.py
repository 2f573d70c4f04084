"""The idle processes of a search are kept, whatever Tune expects to need, until it ends."""

from __future__ import annotations

from ray.tune.execution import tune_controller

from tune_runs.driver.kept_processes import KeptProcesses, processes_kept


def test_every_idle_process_is_kept_and_used_again_until_the_end() -> None:
    kept, plain = KeptProcesses(may_keep_one=True), tune_controller._ObjectCache(may_keep_one=True)
    assert [plain.cache_object("one cpu", number) for number in range(3)] == [True, False, False]
    assert all(kept.cache_object("one cpu", number) for number in range(3))
    assert list(kept.flush_cached_objects()) == []
    assert (kept.num_cached_objects, kept.pop_cached_object("one cpu")) == (3, 0)
    assert list(kept.flush_cached_objects(force_all=True)) == [1, 2]
    assert kept.num_cached_objects == 0


def test_search_in_the_block_gets_them_and_the_next_one_does_not() -> None:
    earlier = tune_controller._ObjectCache
    with processes_kept():
        assert tune_controller.TuneController.__init__.__globals__["_ObjectCache"] is KeptProcesses
    assert tune_controller._ObjectCache is earlier
    assert "_ObjectCache" in tune_controller.TuneController.__init__.__code__.co_names
