"""Networks that a format cannot hold, for tests of the messages."""

from __future__ import annotations

from torch import Tensor, nn

from absgd.config.sections import ModelConfig


class UnholdableNetwork(nn.Module):
    """Takes another path for dark images, which a graph of operations cannot."""

    def __init__(self, num_features: int, num_classes: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(num_features, num_classes)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        features = images_NCHW.flatten(1)
        logits: Tensor = self.classifier(features if features.sum().item() > 0 else -features)
        return logits


def build_unholdable(_config: ModelConfig, in_channels: int, num_classes: int) -> nn.Module:
    return UnholdableNetwork(in_channels * 64, num_classes)


class NetworkWithExtraState(UnholdableNetwork):
    """Keeps a mapping in its state."""

    def get_extra_state(self) -> dict[str, int]:
        return {"batches": 0}

    def set_extra_state(self, state: object) -> None:
        """Take it back."""


def build_with_extra_state(_config: ModelConfig, in_channels: int, num_classes: int) -> nn.Module:
    return NetworkWithExtraState(in_channels * 64, num_classes)
