"""Tests of a model: inherit `ModelTests` and name the entry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from absgd.config.sections import ModelConfig
from absgd.models import build_model, seed_dropout
from absgd.randomness import seeded_globally
from absgd.registry.model_table import MODELS

NUM_CLASSES = 7
SIDE = 16


def built(config: ModelConfig, in_channels: int = 3, seed: int = 0, side: int = SIDE) -> nn.Module:
    """Build a model from the initial weights of a seed."""
    with seeded_globally(seed, "init"):
        return build_model(config, in_channels, NUM_CLASSES, side)


def changed(config: ModelConfig, **values: object) -> ModelConfig:
    return ModelConfig.model_validate({**config.model_dump(), **values})


def random_images(num_images: int = 4, in_channels: int = 3, side: int = SIDE) -> Tensor:
    return torch.randn(num_images, in_channels, side, side, generator=torch.Generator().manual_seed(0))


def state(model: nn.Module) -> Tensor:
    return torch.cat([tensor.detach().float().flatten() for tensor in model.state_dict().values()])


class ModelTests:
    """Tests that every model passes; see `absgd.models.build_model`."""

    entry: str
    """Name of the model in the table."""
    options: Mapping[str, Any] = MappingProxyType({})
    """Options of it, where it declares any."""
    channels: int = 3
    """Channels of the images."""
    side: int = 16
    """Rows and columns of the images."""

    @pytest.fixture
    def config(self) -> ModelConfig:
        """The model under test, without dropout, with the linear head and random weights."""
        return ModelConfig.model_validate({"name": self.entry, "options": dict(self.options)})

    def built(self, config: ModelConfig, seed: int = 0) -> nn.Module:
        """Build the model from the initial weights of a seed, for images of the size of the tests."""
        return built(config, self.channels, seed, self.side)

    @pytest.fixture
    def images(self) -> Tensor:
        return random_images(4, self.channels, self.side)

    @pytest.fixture
    def _global_generator(self) -> Iterator[None]:
        """Fail if the test draws from torch's global generator."""
        before = torch.get_rng_state()
        yield
        assert torch.equal(torch.get_rng_state(), before), "torch's global generator was used"

    def test_forward_gives_one_logit_for_each_class(self, config: ModelConfig, images: Tensor) -> None:
        model = self.built(config)
        assert model.training
        logits_NK = model(images)
        assert logits_NK.shape == (len(images), NUM_CLASSES)
        assert logits_NK.dtype == torch.float32
        assert logits_NK.isfinite().all()

    def test_training_takes_a_batch_of_one_image(self, config: ModelConfig, images: Tensor) -> None:
        logits_NK = self.built(config)(images[:1])
        logits_NK.sum().backward()
        assert logits_NK.isfinite().all()

    @pytest.mark.parametrize("head", ["linear", "cosine"])
    def test_gradient_reaches_every_parameter(self, config: ModelConfig, head: str, images: Tensor) -> None:
        if head not in MODELS[config.name].heads:
            pytest.skip(f"the model declares no {head} head")
        model = self.built(changed(config, head=head))
        model(images).square().sum().backward()
        without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
        assert not without
        still = [
            name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()
        ]
        assert not still

    @pytest.mark.usefixtures("_global_generator")
    def test_evaluation_is_deterministic_and_image_by_image(self, config: ModelConfig, images: Tensor) -> None:
        dropout = 0.5 if MODELS[config.name].takes_dropout else 0.0
        model = self.built(changed(config, dropout=dropout)).eval()
        with torch.no_grad():
            first, again, alone = model(images), model(images), model(images[:1])
        assert torch.equal(first, again)
        torch.testing.assert_close(alone, first[:1], rtol=1e-4, atol=1e-5)

    @pytest.mark.usefixtures("_global_generator")
    def test_initial_weights_are_decided_by_the_seed(self, config: ModelConfig) -> None:
        first = state(self.built(config))
        assert torch.equal(state(self.built(config)), first)
        assert not torch.equal(state(self.built(config, seed=1)), first)

    @pytest.mark.usefixtures("_global_generator")
    def test_dropout_is_decided_by_its_generator(self, config: ModelConfig, images: Tensor) -> None:
        if not MODELS[config.name].takes_dropout:
            pytest.skip("the model declares no dropout")
        model = self.built(changed(config, dropout=0.5))
        outputs = []
        for seed in (0, 0, 1):
            seed_dropout(model, torch.Generator().manual_seed(seed))
            outputs.append(model(images))
        assert torch.equal(outputs[0], outputs[1])
        assert not torch.equal(outputs[0], outputs[2])

    def test_state_round_trip_gives_the_same_logits(self, config: ModelConfig, images: Tensor) -> None:
        model, other = self.built(config), self.built(config, seed=1)
        model(images)  # running statistics are part of the state
        other.load_state_dict(model.state_dict())
        assert torch.equal(other.eval()(images), model.eval()(images))
