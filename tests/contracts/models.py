"""The contract of our models: inherit ModelContract and supply one fixture, `config`."""

from __future__ import annotations

import pytest
import torch

from absgd.config.sections import ModelConfig
from absgd.models import CosineClassifier
from absgd.testing.model_tests import NUM_CLASSES, ModelTests, built, changed, random_images


class ModelContract(ModelTests):
    """`ModelTests`, and that a model takes images of any size and has features and both heads."""

    @pytest.fixture
    def config(self) -> ModelConfig:
        raise NotImplementedError("expected the fixture `config` in the class that inherits ModelContract")

    @pytest.mark.parametrize(("in_channels", "side"), [(1, 8), (3, 32), (3, 28)])
    def test_forward_takes_images_of_any_size(self, config: ModelConfig, in_channels: int, side: int) -> None:
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

    def test_cosine_head_gives_cosines(self, config: ModelConfig) -> None:
        model, images_NCHW = built(changed(config, head="cosine")).eval(), 10 * random_images()
        assert isinstance(model.classifier, CosineClassifier)
        cosines_NK = model(images_NCHW)
        assert cosines_NK.abs().max() <= 1 + 1e-6
        with torch.no_grad():
            model.classifier.weight.mul_(3)
        torch.testing.assert_close(model(images_NCHW), cosines_NK)
