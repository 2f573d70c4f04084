"""Made-up test scores of the runs of a confirmation, by the kind of a run and its seeds."""

from __future__ import annotations

import random

from absgd.config import RunConfig


def noise(config: RunConfig) -> float:
    """Return a number between 0 and 1 for the kind of a run and its seeds."""
    is_deferred, is_raised = config.class_balance.type != "none", config.optimizer.lr != 0.1
    return random.Random(f"{config.attention is None} {is_deferred} {is_raised} {config.seeds.train}").random()


def close(config: RunConfig) -> float:
    """Return a test score by which the configuration is ahead of its controls, but not by enough to claim it."""
    return 0.7 + 0.02 * noise(config) + (0.005 if config.attention else 0.0)


def far(config: RunConfig) -> float:
    """Return a test score by which the configuration is far ahead of all others."""
    return 0.7 + 0.001 * noise(config) + (0.2 if config.attention else 0.0)


def staggered(config: RunConfig) -> float:
    """Return a test score by which plain training is beaten first, then the same at the raised rate; focal is close."""
    leads = {config.attention is not None: 0.0, config.optimizer.lr != 0.1: 0.1, config.loss.name == "focal": 0.002}
    return 0.7 + 0.008 * noise(config) - leads.get(True, 0.02)
