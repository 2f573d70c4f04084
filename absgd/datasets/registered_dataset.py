"""The images of a data set of the table, and the side, augmentation and normalisation of a run on it."""

from __future__ import annotations

from collections.abc import Callable
from pkgutil import resolve_name

from absgd.config.sections import AugmentationConfig, DataConfig
from absgd.datasets.image_files import ImageFiles
from absgd.datasets.images import Images, Part
from absgd.datasets.own_images_check import checked_own_images
from absgd.errors import UserError
from absgd.plugins.part_errors import errors_of
from absgd.registry.dataset_table import DATASETS, DatasetSpec


def read_part(config: DataConfig, part: Part) -> Images | ImageFiles:
    """Read one part of the data set that `config` names.

    Args:
        config: name, folder and options of the data set.
        part: the part to read; `val` only where the table says that the data set has its own.

    Raises:
        UserError: if its files are absent, cannot be downloaded, or are damaged; if a plugin's reader returns other
            images than it declares.
    """
    spec = DATASETS[config.name]
    read: Callable[..., Images | ImageFiles] = resolve_name(spec.reader)
    with errors_of(spec.plugin, config.name):
        images = read(config, part)
    return images if spec.plugin is None else checked_own_images(images, config.name, part, spec)


def side_of(config: DataConfig, spec: DatasetSpec) -> int:
    """Return rows and columns of the images trained on: `data.side` of images on disk, else the data set's own."""
    return spec.side if spec.in_memory or config.side is None else config.side


def augmentation_of(config: AugmentationConfig, spec: DatasetSpec, side: int) -> tuple[int, bool]:
    """Return the padding in pixels and whether to flip: from `config`, else the standard of the data set.

    Raises:
        UserError: if the padding exceeds the side, so that a crop could hold nothing of the image.
    """
    pad = spec.pad if config.pad is None else config.pad
    if pad >= side:
        raise UserError(f"expected `pad` < {side} (side of the images), got {pad} (augmentation.pad)")
    return pad, spec.flip if config.flip is None else config.flip


def normalisation_of(config: DataConfig, spec: DatasetSpec) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and standard deviation of each channel: from `config`, else those of the data set.

    Raises:
        UserError: if `config` gives another number of values than there are channels.
    """
    if config.mean is None or config.std is None:
        return spec.mean, spec.std
    for name, values in (("mean", config.mean), ("std", config.std)):
        if len(values) != spec.channels:
            raise UserError(
                f"expected `{name}` of {spec.channels} values (one for each channel of {config.name}), "
                f"got {len(values)} (data.{name})"
            )
    return config.mean, config.std
