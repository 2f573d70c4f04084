"""Counts and enumerations in words: nouns in the plural, and epochs.

People read how many epochs were done, "after 5 of 12 epochs", wherever the records hold the index of an epoch, 4. A
setting such as `switch_epoch: 5` is both: the index of the first epoch of stage two, and the epochs done before it.
"""

from __future__ import annotations

from collections.abc import Sequence


def plural(number: float, noun: str) -> str:
    """Return a count with its noun.

    >>> plural(1, "seed"), plural(1200, "epoch"), plural(0.5, "CPU")
    ('1 seed', '1,200 epochs', '0.5 CPUs')
    """
    count = int(number) if number == int(number) else number
    return f"{count:,} {noun}{'' if number == 1 else 's'}"


def joined(words: Sequence[str]) -> str:
    """Return words as an enumeration.

    >>> joined(["ce", "ce-lr", "focal"])
    'ce, ce-lr and focal'
    """
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def epochs_done(epoch: int) -> int:
    """Return the number of epochs done once the epoch with this index, counted from 0, has ended."""
    return epoch + 1


def after_epochs(done: int, epochs: int | None = None) -> str:
    """Return the place in a run at which this many epochs are done.

    >>> after_epochs(5, 12), after_epochs(1)
    ('after 5 of 12 epochs', 'after 1 epoch')
    """
    return f"after {plural(done, 'epoch')}" if epochs is None else f"after {done:,} of {plural(epochs, 'epoch')}"
