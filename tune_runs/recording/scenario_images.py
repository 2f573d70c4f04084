"""The images of every scenario and data seed: read once by the driver, released when no run needs them any more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from absgd.config import RunConfig
from absgd.datasets import Splits, fingerprint, load_splits
from tune_runs.trial.trial_plan import images_key


class SplitsStore(Protocol):
    """The store from which workers read images."""

    def put(self, key: str, splits: Splits) -> Splits:
        """Store splits, and return the same splits, perhaps in other memory."""

    def ensure_available(self, key: str) -> None:
        """Make sure that workers still find the splits of a key."""

    def drop(self, key: str) -> None:
        """Remove the splits of a key."""


class ScenarioImages:
    """The images of all scenarios, one set of splits for each scenario and data seed.

    Args:
        store: store from which workers read them; None: no store, for tests of the driver alone.
        read: makes the splits of a run.
        fingerprint_of: gives the fingerprint of splits and a file of initial weights; None: no file.
    """

    def __init__(
        self,
        store: SplitsStore | None = None,
        read: Callable[[RunConfig], Splits] = load_splits,
        fingerprint_of: Callable[[Splits, str | None], str] = fingerprint,
    ) -> None:
        self._store, self._read, self._fingerprint_of = store, read, fingerprint_of
        self._splits: dict[str, Splits] = {}
        self._fingerprints: dict[tuple[str, str | None], str] = {}

    def adopt(self, scenario: str, config: RunConfig, splits: Splits) -> None:
        """Take over splits that were read earlier."""
        key = images_key(scenario, config.seeds.data)
        self._splits[key] = self._store.put(key, splits) if self._store else splits

    def splits_of(self, scenario: str, config: RunConfig) -> Splits:
        """Return the splits of a run, read if necessary; from then on workers find them in the store.

        Raises:
            UserError: if the data cannot be read.
        """
        key = images_key(scenario, config.seeds.data)
        if key not in self._splits:
            self.adopt(scenario, config, self._read(config))
        elif self._store:
            self._store.ensure_available(key)
        return self._splits[key]

    def fingerprint(self, scenario: str, config: RunConfig) -> str:
        """Return the fingerprint of the images of a run and its file of initial weights; computed once."""
        weights = config.model.weights
        key = (images_key(scenario, config.seeds.data), weights)
        if key not in self._fingerprints:
            self._fingerprints[key] = self._fingerprint_of(self.splits_of(scenario, config), weights)
        return self._fingerprints[key]

    def release(self, scenario: str, seed_data: int) -> None:
        """Drop images that no further run needs."""
        key = images_key(scenario, seed_data)
        if self._splits.pop(key, None) is not None and self._store:
            self._store.drop(key)

    @property
    def held(self) -> Mapping[str, Splits]:
        """The splits in memory, by `images_key`."""
        return self._splits
