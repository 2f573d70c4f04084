"""Random generators derived from (seed, purpose, epoch): these three alone repeat every random draw."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch

Purpose = Literal["split", "imbalance", "noise", "init", "order", "augmentation", "dropout", "search"]


def derived_seed(seed: int, purpose: str, epoch: int = 0) -> int:
    """Return a 63-bit seed; those of two different (seed, purpose, epoch) are unrelated.

    >>> derived_seed(0, "order", 1) == derived_seed(0, "order", 1) != derived_seed(0, "order", 2)
    True
    """
    digest = hashlib.blake2b(f"{seed}/{purpose}/{epoch}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def numpy_generator(seed: int, purpose: Purpose, epoch: int = 0) -> np.random.Generator:
    """Return a numpy generator for one purpose."""
    return np.random.default_rng(derived_seed(seed, purpose, epoch))


def torch_generator(seed: int, purpose: Purpose, epoch: int = 0, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a torch generator on `device` for one purpose."""
    return torch.Generator(device).manual_seed(derived_seed(seed, purpose, epoch))


@contextmanager
def seeded_globally(seed: int, purpose: Purpose) -> Iterator[None]:
    """Seed torch's global CPU generator inside the block and restore its state after it.

    Meant for library code that takes no generator, such as the initialisation in module constructors.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derived_seed(seed, purpose))
        yield
