"""A check of the test set before training, so that a missing or broken image is not found after the last epoch.

No model sees these images, and nothing is kept of them.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from absgd.config import RunConfig
from absgd.datasets.image_files import ImageFiles
from absgd.datasets.image_reading import BrokenImage, ReadFailed, check_decodes, error_at
from absgd.datasets.splits import load_test


def check_test_set(config: RunConfig) -> None:
    """Read the test set of a run; each image in a file is decoded once, unless reading it has done so.

    Raises:
        UserError: if it is absent, has no image, or one of its images is missing or broken.
    """
    images = load_test(config)
    if isinstance(images, ImageFiles) and config.data.on_bad_image == "error":
        with ThreadPoolExecutor(max(config.data.workers, os.cpu_count() or 1)) as pool:
            for position, fault in enumerate(pool.map(lambda place: _fault(images, place), range(len(images)))):
                if fault is not None:
                    pool.shutdown(cancel_futures=True)
                    raise error_at(images, position, fault)


def _fault(images: ImageFiles, position: int) -> BrokenImage | ReadFailed | None:
    """Return the fault of an image; None if it decodes."""
    try:
        check_decodes(images.path(position))
    except (BrokenImage, ReadFailed) as fault:
        return fault
    return None
