from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor

from absgd.config.sections import ModelConfig
from absgd.errors import UserError
from absgd.models import TorchvisionResNet, build_model
from absgd.models.pretrained_weights import read_weights
from absgd.randomness import seeded_globally

State = dict[str, Any]


@pytest.fixture(scope="module")
def published() -> State:
    """Return a state dict for seven classes in torchvision's published format."""
    torch.manual_seed(3)
    network = torchvision.models.resnet18(weights=None, num_classes=7)
    network.train()(torch.randn(2, 3, 32, 32))
    return dict(network.state_dict())


@pytest.fixture
def file(tmp_path: Path, published: State) -> Path:
    path = tmp_path / "resnet18.pth"
    torch.save(published, path)
    return path


def build(path: Path, num_classes: int = 7, **values: Any) -> TorchvisionResNet:
    config = ModelConfig.model_validate({"name": "resnet18", "weights": str(path), **values})
    with seeded_globally(0, "init"):
        model = build_model(config, in_channels=3, num_classes=num_classes)
    assert isinstance(model, TorchvisionResNet)
    return model


def assert_features_are(model: TorchvisionResNet, published: State) -> None:
    state = model.features.state_dict()
    assert set(state) == {name for name in published if not name.startswith("fc.")}
    assert all(torch.equal(tensor, published[name]) for name, tensor in state.items())


def test_weights_of_the_same_classes_are_loaded_completely(file: Path, published: State) -> None:
    model = build(file)
    assert_features_are(model, published)
    assert torch.equal(model.classifier.weight, published["fc.weight"])
    assert torch.equal(model.classifier.bias, published["fc.bias"])


@pytest.mark.parametrize(("num_classes", "head"), [(8, "linear"), (7, "cosine")])
def test_weights_of_another_classifier_leave_ours_as_the_seed_drew_it(
    file: Path, published: State, num_classes: int, head: str
) -> None:
    model = build(file, num_classes, head=head)
    assert_features_are(model, published)
    with seeded_globally(0, "init"):
        fresh = build_model(ModelConfig(name="resnet18", head=head), in_channels=3, num_classes=num_classes)
    assert torch.equal(model.classifier.weight, fresh.classifier.weight)


def test_weights_without_a_classifier_are_taken(tmp_path: Path, published: State) -> None:
    path = tmp_path / "backbone.pth"
    torch.save({name: tensor for name, tensor in published.items() if not name.startswith("fc.")}, path)
    assert_features_are(build(path), published)


def test_weights_of_the_older_format_and_without_counters_are_taken(tmp_path: Path, published: State) -> None:
    path = tmp_path / "old.pth"
    older = {name: tensor for name, tensor in published.items() if not name.endswith("num_batches_tracked")}
    torch.save(older, path, _use_new_zipfile_serialization=False)
    state = build(path).features.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in older.items() if not name.startswith("fc."))


def test_weights_of_another_architecture_are_refused(file: Path) -> None:
    with pytest.raises(UserError) as error:
        build(file, name="resnet50")
    assert str(error.value) == (
        "expected the weights of `resnet50`, got a file whose `layer1.0.conv1.weight` is 64x64x3x3, not 64x64x1x1 "
        f"({file}: model.weights)"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("layer2.0.bn1.weight"), "got a file without `layer2.0.bn1.weight`"),
        (lambda state: state.update({"layer5.weight": torch.ones(1)}), "got a file with `layer5.weight` too"),
        (lambda state: state.update({"bn1.weight": torch.ones(())}), "whose `bn1.weight` is a number, not 64"),
        (lambda state: state.update({"bn1.weight": 3}), "expected named tensors"),
        (lambda state: [state.clear(), state.update(state_dict={})], "expected named tensors"),
        (lambda state: state.clear(), "got a file without `conv1.weight`"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    tmp_path: Path, published: State, change: Callable[[State], object], message: str
) -> None:
    state, path = dict(published), tmp_path / "changed.pth"
    change(state)
    torch.save(state, path)
    with pytest.raises(UserError, match=message) as error:
        build(path)
    assert str(error.value).endswith(f"({path}: model.weights)")


def _flip_bit(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [lambda content: content[:-1000], lambda content: content[:0], lambda _content: b"<html>", _flip_bit],
    ids=["truncated", "empty", "a web page", "a flipped bit"],
)
def test_damaged_weights_are_refused(file: Path, damage: Callable[[bytes], bytes]) -> None:
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(UserError, match=r"expected weights as torch.save writes them, got a damaged file \("):
        build(file)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    path = tmp_path / "absent.pth"
    with pytest.raises(UserError, match=rf"cannot read the weights: No such file or directory \({path}: model.weights"):
        build(path)


def test_folder_in_place_of_weights_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read the weights: Is a directory"):
        build(tmp_path)


def test_read_weights_runs_no_code(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"conv1.weight": Payload()}, tmp_path / "evil.pth")
    with pytest.raises(UserError, match="damaged"):
        read_weights(tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


def test_read_weights_gives_cpu_tensors(file: Path) -> None:
    assert all(isinstance(tensor, Tensor) and tensor.device.type == "cpu" for tensor in read_weights(file).values())
