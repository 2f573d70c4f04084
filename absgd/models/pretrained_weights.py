"""Initial weights of torchvision's networks, read from a local file."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from absgd.archives import check_archive
from absgd.config.sections import ModelConfig
from absgd.counts import plural
from absgd.errors import UserError
from absgd.models.torchvision_resnet import Architecture, TorchvisionResNet
from absgd.paths import expanded, is_endless

CLASSIFIER_PREFIX = "fc."
COUNTER = "num_batches_tracked"
"""Counter of batch norm that older files lack and nothing here reads."""


def build_for_imagenet(
    config: ModelConfig, in_channels: int, num_classes: int, architecture: Architecture
) -> TorchvisionResNet:
    """Build the model of a run on large images, with the weights of `config.weights` where it names a file.

    Raises:
        UserError: if there are weights and the images have not three channels, or as `load_weights`.
    """
    if config.weights is not None and in_channels != 3:
        raise UserError(
            f"expected images of 3 channels with `weights`, got {plural(in_channels, 'channel')} (model.weights)"
        )
    model = TorchvisionResNet(architecture, "imagenet", in_channels, num_classes, config.dropout, config.head)
    if config.weights is not None:
        load_weights(model, expanded(config.weights, "model.weights"))
    return model


def load_weights(model: TorchvisionResNet, path: Path) -> None:
    """Replace the initial weights of `model` by the weights in a file that torchvision publishes.

    The classifier's weights are loaded only if they fit: into a linear classifier with the file's number of classes.

    Args:
        model: a network with the ImageNet stem and three channels.
        path: a state dict saved by torch.save, such as resnet50-11ad3fa6.pth.

    Raises:
        UserError: if the file is missing, damaged, holds anything but named tensors, or the weights of another
            architecture.
    """
    given = read_weights(path)
    classifier = {name: given.pop(name) for name in list(given) if name.startswith(CLASSIFIER_PREFIX)}
    difference = next(_differences(given, model.features.state_dict()), None)
    if difference is not None:
        raise _refused(f"expected the weights of `{model.architecture}`, got a file {difference}", path)
    model.features.load_state_dict(given, strict=False)
    named = {name.removeprefix(CLASSIFIER_PREFIX): tensor for name, tensor in classifier.items()}
    if isinstance(model.classifier, nn.Linear) and not any(_differences(named, model.classifier.state_dict())):
        model.classifier.load_state_dict(named)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the named tensors of a file of weights, on the CPU; never runs code from the file.

    Raises:
        UserError: if the file is missing, damaged, or holds anything but named tensors.
    """
    if is_endless(path):
        raise _refused("expected a file of weights, got a device or a pipe", path)
    try:
        if zipfile.is_zipfile(path):  # files of older torch versions are no archives
            check_archive(path)
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise _refused(f"cannot read the weights: {error.strerror or error}", path) from None
    except (RuntimeError, EOFError, LookupError, ValueError, zipfile.BadZipFile, pickle.UnpicklingError):
        raise _refused("expected weights as torch.save writes them, got a damaged file", path) from None
    if not isinstance(weights, Mapping) or not all(isinstance(tensor, Tensor) for tensor in weights.values()):
        raise _refused("expected named tensors, as in the files that torchvision publishes, got other content", path)
    return {str(name): tensor for name, tensor in weights.items()}


def _differences(given: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> Iterator[str]:
    """Differences between the given and the expected weights, in words."""
    for name, tensor in expected.items():
        if name not in given:
            if not name.endswith(COUNTER):
                yield f"without `{name}`"
        elif given[name].shape != tensor.shape:
            yield f"whose `{name}` is {_shape(given[name])}, not {_shape(tensor)}"
    for name in given:
        if name not in expected:
            yield f"with `{name}` too"


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"


def _refused(message: str, path: Path) -> UserError:
    return UserError(f"{message} ({path}: model.weights)")
