"""Exported models as safetensors: weights and facts in one file, which runs no code when it is read."""

from __future__ import annotations

import torch

from absgd.errors import UserError
from absgd.export.image_classifier import ImageClassifier, ModelFacts
from absgd.extras import need_package
from absgd.paths import PathLike, is_endless, path_of


def model_bytes(classifier: ImageClassifier) -> bytes:
    """Return the content of the file of a model.

    Raises:
        UserError: if safetensors cannot hold its weights, such as two of one memory.
    """
    from safetensors.torch import save

    tensors = {name: tensor.contiguous() for name, tensor in classifier.state_dict().items()}
    try:
        content: bytes = save(tensors, metadata={"format": "pt", **classifier.facts.to_metadata()})
    except (RuntimeError, ValueError) as error:
        name = classifier.facts.config.model.name
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"expected a model that safetensors can hold, got `{name}`: {reason} (--export)") from None
    return content


def load_model(path: PathLike, device: torch.device | str = "cpu") -> ImageClassifier:
    """Return a model that `absgd-train --export model.safetensors` has written, in evaluation mode.

    It takes images as uint8 (N, C, H, W), or normalised ones as floats, and gives logits (N, K). `model.facts` has the
    classes, the configuration and the rest that the file says about it. No code of the file is run.

    Args:
        path: the file.
        device: where to put the model.

    Raises:
        UserError: if the package safetensors is absent, the file is missing, damaged or another one, or its model needs
            a plugin that is not loaded.
    """
    need_package("safetensors", "export", "load_model")
    from safetensors import SafetensorError, safe_open

    file = path_of(path, "load_model")
    if is_endless(file) or not file.is_file():
        raise UserError(f"expected a file, got {file} (load_model)")
    try:
        with safe_open(file, framework="pt", device="cpu") as content:
            facts = ModelFacts.from_metadata(content.metadata() or {}, str(file))
            tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 - it is no mapping
    except (SafetensorError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"cannot read {file} as safetensors: {reason}") from None
    classifier = ImageClassifier(facts)
    try:
        classifier.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"expected the weights of `{facts.config.model.name}` in {file}: {reason}") from None
    return classifier.eval().to(device)
