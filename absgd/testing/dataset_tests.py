"""Tests of a data set: inherit `DatasetTests` and name the entry."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Mapping
from pkgutil import resolve_name
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from absgd.config import RunConfig
from absgd.datasets import (
    DATASETS,
    DatasetSpec,
    ImageFiles,
    Images,
    Splits,
    build_batches,
    load_splits,
    load_test,
    read_part,
    split_indices,
)
from absgd.datasets.image_reading import read_rgb

CPU = torch.device("cpu")


def dataset_config(name: str, root: object = None, **values: Any) -> RunConfig:
    """Return a plain cross-entropy run on a data set, with the values at dotted keys replaced."""
    data = {"name": name, "root": None if root is None else str(root), "val_per_class": 3}
    return RunConfig.from_dict({"data": data, "loss": {"name": "ce"}}).with_values(values)


def contents(images: Images | ImageFiles) -> list[bytes]:
    """Return the content of each image: its values, or its file."""
    if isinstance(images, Images):
        return [image.tobytes() for image in images.images_NCHW]
    return [images.path(position).read_bytes() for position in range(len(images))]


@pytest.mark.filterwarnings("ignore:.*does not hold the published", "ignore:.*names .* of the .* classes")
class DatasetTests:
    """Tests that every data set passes; see `absgd.datasets.DatasetSpec`."""

    entry: str
    """Name of the data set in the table."""

    root: str | None = None
    """Folder of its files."""
    options: Mapping[str, Any] = MappingProxyType({})
    """Options of it, where it declares any."""

    @pytest.fixture
    def config(self) -> RunConfig:
        """A run on the data set, balanced and without noise, with at least 10 training images of every class."""
        return dataset_config(self.entry, self.root, **{"data.options": dict(self.options)})

    @pytest.fixture
    def spec(self, config: RunConfig) -> DatasetSpec:
        return DATASETS[config.data.name]

    @pytest.fixture
    def num_classes(self, spec: DatasetSpec) -> int:
        """Number of classes of the data set as the fixture `config` has it."""
        assert spec.num_classes is not None
        return spec.num_classes

    @pytest.fixture
    def pool(self, config: RunConfig) -> Images | ImageFiles:
        return read_part(config.data, "train")

    def check_images(self, images: Any, spec: DatasetSpec) -> None:
        if isinstance(images, ImageFiles):
            assert all(images.path(position).is_file() for position in range(len(images)))
            assert not any(path.startswith(b"/") for path in images.paths_N)
            return
        assert images.images_NCHW.dtype == np.uint8
        assert images.images_NCHW.shape == (len(images), spec.channels, spec.side, spec.side)
        assert images.images_NCHW.flags.c_contiguous
        assert images.images_NCHW.std() > 0

    def evaluated(self, images: Images | ImageFiles, config: RunConfig) -> np.ndarray:
        """Return the pixels that evaluation passes to the model, uint8, (N, C, H, W)."""
        if isinstance(images, Images):
            return images.images_NCHW
        spec = DATASETS[config.data.name]
        side = config.data.side or spec.side
        shorter = side if spec.crop == "padded" else round(side * 256 / 224)
        shown = []
        for position in range(len(images)):
            image = v2.functional.resize(read_rgb(images.path(position)), [shorter])
            shown.append(np.asarray(v2.functional.center_crop(image, [side, side])).transpose(2, 0, 1))
        return np.stack(shown)

    def test_entry_is_the_data_set(self, config: RunConfig, spec: DatasetSpec, pool: Images | ImageFiles) -> None:
        assert config.data.name == self.entry
        assert isinstance(pool, Images) == spec.in_memory

    @pytest.mark.parametrize("part", ["train", "test"])
    def test_images_are_as_the_table_says(
        self, config: RunConfig, spec: DatasetSpec, num_classes: int, part: Any
    ) -> None:
        images = read_part(config.data, part)
        self.check_images(images, spec)
        assert images.labels_N.dtype == np.int64
        assert np.unique(images.labels_N).tolist() == list(range(num_classes))
        assert len(spec.mean) == len(spec.std) == spec.channels

    def test_train_and_test_share_no_image(self, config: RunConfig, pool: Any) -> None:
        assert not set(contents(pool)) & set(contents(read_part(config.data, "test")))

    def test_splits_hold_the_pool_at_disjoint_indices(self, config: RunConfig, pool: Any, num_classes: int) -> None:
        splits = load_splits(config)
        assert splits.num_classes == num_classes
        index = split_indices(pool.labels_N, config, splits.num_classes)
        assert not set(index.train) & set(index.val)
        assert len(set(index.train)) + len(set(index.val)) == len(pool)
        for images, index_M in ((splits.train, index.train), (splits.val, index.val)):
            assert contents(images) == contents(pool.take(index_M))
            np.testing.assert_array_equal(images.labels_N, pool.labels_N[index_M])
        assert not splits.changed_N.any()

    def test_validation_is_balanced(self, config: RunConfig, num_classes: int) -> None:
        counts = np.bincount(load_splits(config).val.labels_N, minlength=num_classes)
        assert counts.tolist() == [config.data.val_per_class] * num_classes

    def test_imbalance_is_exact(self, config: RunConfig, num_classes: int) -> None:
        splits = load_splits(config.with_values({"imbalance.type": "step", "imbalance.ratio": 0.5, "data.n_max": 6}))
        half = num_classes // 2
        assert splits.class_counts == (6,) * half + (3,) * (num_classes - half)
        assert tuple(np.bincount(splits.train.labels_N)) == splits.class_counts

    def test_noise_is_exact_in_every_class(self, config: RunConfig, num_classes: int) -> None:
        noisy = load_splits(
            config.with_values({"noise.type": "symmetric", "noise.rate": 0.5, "data.n_max": 6, "data.val_per_class": 4})
        )
        clean_N = load_splits(config.with_values({"data.n_max": 6, "data.val_per_class": 4})).train.labels_N
        np.testing.assert_array_equal(noisy.changed_N, noisy.train.labels_N != clean_N)
        assert np.bincount(clean_N[noisy.changed_N]).tolist() == [3] * num_classes

    def test_same_seed_gives_the_same_splits(self, config: RunConfig) -> None:
        first, second = load_splits(config), load_splits(config)
        assert first.hash == second.hash
        assert contents(first.train) == contents(second.train)
        assert load_splits(config.with_values({"seeds.train": 5})).hash == first.hash

    def test_other_data_seed_gives_other_splits(self, config: RunConfig) -> None:
        assert load_splits(config).hash != load_splits(config.with_values({"seeds.data": 1})).hash

    def test_only_load_test_reads_the_test_set(
        self, config: RunConfig, spec: DatasetSpec, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        parts: list[str] = []
        read = resolve_name(spec.reader)

        def recorded(data: Any, part: Any) -> Images | ImageFiles:
            parts.append(part)
            images: Images | ImageFiles = read(data, part)
            return images

        monkeypatch.setattr(spec.reader.replace(":", "."), recorded)
        splits = load_splits(config)
        assert parts == ["train"]
        assert {field.name for field in dataclasses.fields(Splits)} == set(vars(splits))
        assert not any("test" in name for name in vars(splits))
        test = load_test(config)
        assert parts == ["train", "test"]
        assert contents(test) == contents(read_part(config.data, "test"))

    def test_splits_survive_pickling(self, config: RunConfig) -> None:
        splits = load_splits(config)
        copy = pickle.loads(pickle.dumps(splits))  # noqa: S301 - our own bytes
        assert (copy.hash, copy.class_counts) == (splits.hash, splits.class_counts)
        assert contents(copy.train) == contents(splits.train)

    def test_batches_are_normalised_images_of_the_split(self, config: RunConfig, spec: DatasetSpec) -> None:
        val = load_splits(config).val
        batches = list(build_batches(val, config, CPU).evaluation(batch_size=7))
        mean, std = (np.array(values).reshape(-1, 1, 1) for values in (spec.mean, spec.std))
        images_NCHW = torch.cat([batch.images_BCHW for batch in batches])
        assert images_NCHW.dtype == torch.float32
        expected_NCHW = (self.evaluated(val, config) / 255 - mean) / std
        np.testing.assert_allclose(images_NCHW.numpy(), expected_NCHW, rtol=1e-4, atol=1e-5)
        assert torch.cat([batch.labels_B for batch in batches]).tolist() == val.labels_N.tolist()
        assert torch.cat([batch.index_B for batch in batches]).tolist() == list(range(len(val)))

    def test_training_batches_show_every_image_once(self, config: RunConfig, spec: DatasetSpec) -> None:
        train = load_splits(config).train
        batches = list(build_batches(train, config, CPU).training(seed=0, epoch=0, batch_size=16))
        index_N = torch.cat([batch.index_B for batch in batches])
        assert sorted(index_N.tolist()) == list(range(len(train)))
        side = config.data.side or spec.side
        for batch in batches:
            assert batch.labels_B.tolist() == train.labels_N[batch.index_B.numpy()].tolist()
            assert batch.images_BCHW.shape[1:] == (spec.channels, side, side)
