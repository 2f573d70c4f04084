"""Models: networks from images to logits, and dropout that can be replayed."""

from absgd.models.build import build_model
from absgd.models.dropout import SeededDropout, seed_dropout
from absgd.models.resnet_cifar import CifarResNet

__all__ = ["CifarResNet", "SeededDropout", "build_model", "seed_dropout"]
