"""Models: networks from images to logits, and dropout that can be replayed. For `absgd.training`."""

from absgd.models.build_model import build_model
from absgd.models.classifier import CosineClassifier
from absgd.models.cnn import EightLayerCNN
from absgd.models.dropout import SeededDropout, seed_dropout
from absgd.models.resnet_cifar import CifarResNet
from absgd.models.torchvision_resnet import TorchvisionResNet

__all__ = [
    "CifarResNet",
    "CosineClassifier",
    "EightLayerCNN",
    "SeededDropout",
    "TorchvisionResNet",
    "build_model",
    "seed_dropout",
]
