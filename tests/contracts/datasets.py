"""The contract of data sets: one inherits DatasetContract and supplies one fixture, `config`."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest
import torch

from absgd.config import RunConfig
from absgd.datasets import DATASETS, Batches, DatasetSpec, Images, Splits, load_splits, load_test, split_indices

CPU = torch.device("cpu")


def dataset_config(name: str, root: object = None, **values: Any) -> RunConfig:
    """A plain cross-entropy run on a data set, with the values at dotted keys replaced."""
    data = {"name": name, "root": None if root is None else str(root), "val_per_class": 3}
    return RunConfig.from_dict({"data": data, "loss": {"name": "ce"}}).with_values(values)


@pytest.mark.filterwarnings("ignore:.*does not hold the published")
class DatasetContract:
    """What every data set promises; see `absgd.datasets.DatasetSpec`."""

    @pytest.fixture
    def config(self) -> RunConfig:
        """A run on the data set, balanced and without noise, with at least 10 training images of every class."""
        raise NotImplementedError("expected the fixture `config` in the class that inherits DatasetContract")

    @pytest.fixture
    def spec(self, config: RunConfig) -> DatasetSpec:
        return DATASETS[config.data.name]

    @pytest.fixture
    def pool(self, config: RunConfig, spec: DatasetSpec) -> Images:
        return spec.read(config.data, "train")

    @pytest.mark.parametrize("part", ["train", "test"])
    def test_images_are_as_the_table_says(self, config: RunConfig, spec: DatasetSpec, part: Any) -> None:
        images = spec.read(config.data, part)
        assert images.images_NCHW.dtype == np.uint8
        assert images.images_NCHW.shape == (len(images), spec.channels, spec.side, spec.side)
        assert images.images_NCHW.flags.c_contiguous
        assert images.images_NCHW.std() > 0
        assert images.labels_N.dtype == np.int64
        assert np.unique(images.labels_N).tolist() == list(range(spec.num_classes))
        assert len(spec.mean) == len(spec.std) == spec.channels

    def test_train_and_test_share_no_image(self, config: RunConfig, spec: DatasetSpec, pool: Images) -> None:
        train = {image.tobytes() for image in pool.images_NCHW}
        assert not any(image.tobytes() in train for image in spec.read(config.data, "test").images_NCHW)

    def test_splits_hold_the_pool_at_disjoint_indices(self, config: RunConfig, pool: Images) -> None:
        splits = load_splits(config)
        index = split_indices(pool.labels_N, config, splits.num_classes)
        assert not set(index.train) & set(index.val)
        assert len(set(index.train)) + len(set(index.val)) == len(pool)
        for images, index_M in ((splits.train, index.train), (splits.val, index.val)):
            np.testing.assert_array_equal(images.images_NCHW, pool.images_NCHW[index_M])
            np.testing.assert_array_equal(images.labels_N, pool.labels_N[index_M])
        assert not splits.changed_N.any()

    def test_validation_is_balanced(self, config: RunConfig, spec: DatasetSpec) -> None:
        counts = np.bincount(load_splits(config).val.labels_N, minlength=spec.num_classes)
        assert counts.tolist() == [config.data.val_per_class] * spec.num_classes

    def test_imbalance_is_exact(self, config: RunConfig, spec: DatasetSpec) -> None:
        splits = load_splits(config.with_values({"imbalance.type": "step", "imbalance.ratio": 0.5, "data.n_max": 6}))
        half = spec.num_classes // 2
        assert splits.class_counts == (6,) * half + (3,) * (spec.num_classes - half)
        assert tuple(np.bincount(splits.train.labels_N)) == splits.class_counts

    def test_noise_is_exact_in_every_class(self, config: RunConfig, spec: DatasetSpec) -> None:
        noisy = load_splits(
            config.with_values({"noise.type": "symmetric", "noise.rate": 0.5, "data.n_max": 6, "data.val_per_class": 4})
        )
        clean_N = load_splits(config.with_values({"data.n_max": 6, "data.val_per_class": 4})).train.labels_N
        np.testing.assert_array_equal(noisy.changed_N, noisy.train.labels_N != clean_N)
        assert np.bincount(clean_N[noisy.changed_N]).tolist() == [3] * spec.num_classes

    def test_same_seed_gives_the_same_splits(self, config: RunConfig) -> None:
        first, second = load_splits(config), load_splits(config)
        assert first.hash == second.hash
        np.testing.assert_array_equal(first.train.images_NCHW, second.train.images_NCHW)
        assert load_splits(config.with_values({"seeds.train": 5})).hash == first.hash

    def test_other_data_seed_gives_other_splits(self, config: RunConfig) -> None:
        assert load_splits(config).hash != load_splits(config.with_values({"seeds.data": 1})).hash

    def test_test_set_is_read_by_load_test_alone(
        self, config: RunConfig, spec: DatasetSpec, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        parts: list[str] = []

        def recorded(data: Any, part: Any) -> Images:
            parts.append(part)
            return spec.read(data, part)

        monkeypatch.setitem(DATASETS, config.data.name, dataclasses.replace(spec, read=recorded))  # type: ignore[arg-type]
        splits = load_splits(config)
        assert parts == ["train"]
        assert {field.name for field in dataclasses.fields(Splits)} == set(vars(splits))
        assert not any("test" in name for name in vars(splits))
        test = load_test(config)
        assert parts == ["train", "test"]
        np.testing.assert_array_equal(test.images_NCHW, spec.read(config.data, "test").images_NCHW)

    def test_splits_survive_pickling(self, config: RunConfig) -> None:
        splits = load_splits(config)
        copy = pickle.loads(pickle.dumps(splits))
        assert (copy.hash, copy.class_counts) == (splits.hash, splits.class_counts)
        np.testing.assert_array_equal(copy.train.images_NCHW, splits.train.images_NCHW)

    def test_batches_are_normalised_images_of_the_split(self, config: RunConfig, spec: DatasetSpec) -> None:
        val = load_splits(config).val
        batches = list(Batches(val, config, CPU).evaluation(batch_size=7))
        mean, std = (np.array(values).reshape(-1, 1, 1) for values in (spec.mean, spec.std))
        images_NCHW = torch.cat([batch.images_BCHW for batch in batches])
        assert images_NCHW.dtype == torch.float32
        np.testing.assert_allclose(images_NCHW.numpy(), (val.images_NCHW / 255 - mean) / std, rtol=1e-4, atol=1e-5)
        assert torch.cat([batch.labels_B for batch in batches]).tolist() == val.labels_N.tolist()

    def test_training_batches_show_every_image_once(self, config: RunConfig) -> None:
        train = load_splits(config).train
        batches = list(Batches(train, config, CPU).training(seed=0, epoch=0, batch_size=16))
        index_N = torch.cat([batch.index_B for batch in batches])
        assert sorted(index_N.tolist()) == list(range(len(train)))
        for batch in batches:
            assert batch.labels_B.tolist() == train.labels_N[batch.index_B.numpy()].tolist()
            assert batch.images_BCHW.shape[1:] == train.images_NCHW.shape[1:]
