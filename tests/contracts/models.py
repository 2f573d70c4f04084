"""The contract of models: one inherits ModelContract and supplies one fixture, `config`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from absgd.config.sections import ModelConfig
from absgd.models import CosineClassifier, build_model, seed_dropout
from absgd.randomness import seeded_globally

NUM_CLASSES = 7
SIDE = 16


def built(config: ModelConfig, in_channels: int = 3, seed: int = 0) -> nn.Module:
    with seeded_globally(seed, "init"):
        return build_model(config, in_channels, NUM_CLASSES)


def changed(config: ModelConfig, **values: object) -> ModelConfig:
    return ModelConfig.model_validate({**config.model_dump(), **values})


def random_images(num_images: int = 4, in_channels: int = 3, side: int = SIDE) -> Tensor:
    return torch.randn(num_images, in_channels, side, side, generator=torch.Generator().manual_seed(0))


def state(model: nn.Module) -> Tensor:
    return torch.cat([tensor.detach().float().flatten() for tensor in model.state_dict().values()])


class ModelContract:
    """Tests that every model passes; see `absgd.models.build_model`."""

    @pytest.fixture
    def config(self) -> ModelConfig:
        """The model under test, without dropout, with the linear head and random weights."""
        raise NotImplementedError("expected the fixture `config` in the class that inherits ModelContract")

    @pytest.fixture
    def _global_generator(self) -> Iterator[None]:
        """Fail if the test draws from torch's global generator."""
        before = torch.get_rng_state()
        yield
        assert torch.equal(torch.get_rng_state(), before), "torch's global generator was used"

    @pytest.mark.parametrize(("in_channels", "side"), [(1, 8), (3, 32), (3, 28)])
    def test_forward_gives_one_logit_for_each_class(self, config: ModelConfig, in_channels: int, side: int) -> None:
        model = built(config, in_channels)
        assert model.training
        logits_NK = model(random_images(2, in_channels, side))
        assert logits_NK.shape == (2, NUM_CLASSES)
        assert logits_NK.dtype == torch.float32
        assert logits_NK.isfinite().all()

    def test_features_are_the_classifiers_input(self, config: ModelConfig) -> None:
        model, images_NCHW = built(config).eval(), random_images()
        features_NF = model.features(images_NCHW)
        assert features_NF.shape == (4, model.num_features)
        torch.testing.assert_close(model.classifier(features_NF), model(images_NCHW))

    def test_training_takes_a_batch_of_one_small_image(self, config: ModelConfig) -> None:
        logits_NK = built(config)(random_images(1, side=8))
        logits_NK.sum().backward()
        assert logits_NK.isfinite().all()

    @pytest.mark.parametrize("head", ["linear", "cosine"])
    def test_gradient_reaches_every_parameter(self, config: ModelConfig, head: str) -> None:
        model = built(changed(config, head=head))
        model(random_images()).square().sum().backward()
        without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
        assert not without
        still = [name for name, parameter in model.named_parameters() if not parameter.grad.any()]
        assert not still

    @pytest.mark.usefixtures("_global_generator")
    def test_evaluation_is_deterministic_and_image_by_image(self, config: ModelConfig) -> None:
        model, images_NCHW = built(changed(config, dropout=0.5)).eval(), random_images()
        with torch.no_grad():
            first, again, alone = model(images_NCHW), model(images_NCHW), model(images_NCHW[:1])
        assert torch.equal(first, again)
        torch.testing.assert_close(alone, first[:1], rtol=1e-4, atol=1e-5)

    @pytest.mark.usefixtures("_global_generator")
    def test_initial_weights_are_decided_by_the_seed(self, config: ModelConfig) -> None:
        first = state(built(config))
        assert torch.equal(state(built(config)), first)
        assert not torch.equal(state(built(config, seed=1)), first)

    @pytest.mark.usefixtures("_global_generator")
    def test_dropout_is_decided_by_its_generator(self, config: ModelConfig) -> None:
        model, images_NCHW = built(changed(config, dropout=0.5)), random_images()
        outputs = []
        for seed in (0, 0, 1):
            seed_dropout(model, torch.Generator().manual_seed(seed))
            outputs.append(model(images_NCHW))
        assert torch.equal(outputs[0], outputs[1])
        assert not torch.equal(outputs[0], outputs[2])

    def test_cosine_head_gives_cosines(self, config: ModelConfig) -> None:
        model, images_NCHW = built(changed(config, head="cosine")).eval(), 10 * random_images()
        assert isinstance(model.classifier, CosineClassifier)
        cosines_NK = model(images_NCHW)
        assert cosines_NK.abs().max() <= 1 + 1e-6
        with torch.no_grad():
            model.classifier.weight.mul_(3)
        torch.testing.assert_close(model(images_NCHW), cosines_NK)

    def test_state_round_trip_gives_the_same_logits(self, config: ModelConfig) -> None:
        model, other = built(config), built(config, seed=1)
        model(random_images())  # running statistics are part of the state
        other.load_state_dict(model.state_dict())
        images_NCHW = random_images()
        assert torch.equal(other.eval()(images_NCHW), model.eval()(images_NCHW))
