"""Exported models as ONNX, checked against torch."""

from __future__ import annotations

import io
import warnings
from contextlib import redirect_stderr
from typing import Any

import numpy as np
import torch

from absgd.errors import UserError
from absgd.export.image_classifier import ImageClassifier

OPSET = 18
"""Version of ONNX's operators."""
TOLERANCE = 1e-4
"""Largest difference of a logit between ONNX Runtime and torch, in units of the largest logit, or of 1 below that."""
_NUM_CHECKED = 3
"""Images of the check; one more than the exporter saw, so that a fixed batch size would be noticed."""


def onnx_bytes(classifier: ImageClassifier) -> bytes:
    """Return the content of an ONNX file: `images`, uint8 (batch, C, H, W), to `logits`, float32 (batch, K).

    Raises:
        UserError: if ONNX cannot hold the model, or ONNX Runtime computes other logits than torch.

    Source: https://pytorch.org/docs/stable/onnx.html
    """
    import onnx

    classifier = classifier.eval()
    try:
        content: bytes = _exported(classifier, onnx).SerializeToString()
        difference = _largest_difference(classifier, content)
    except Exception as error:  # noqa: BLE001 - exporter and runtime raise many kinds, and a user's model any
        raise _refused(classifier, _reason(error)) from None
    if not difference <= TOLERANCE:
        words = f"its logits in ONNX Runtime differ by {difference:.1e} of the largest one, more than {TOLERANCE:.0e}"
        raise _refused(classifier, words)
    return content


def _exported(classifier: ImageClassifier, onnx: Any) -> Any:
    images_NCHW = _images(classifier, _NUM_CHECKED - 1)
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):  # it prints the graph of a model that it refuses
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            classifier,
            (images_NCHW,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    assert program is not None, "dynamo=True returns it"
    proto = program.model_proto
    onnx.helper.set_model_props(proto, classifier.facts.to_metadata())
    return proto


def _largest_difference(classifier: ImageClassifier, content: bytes) -> float:
    """Return the largest difference of a logit, relative to the largest logit, or to 1 where that is larger."""
    import onnxruntime

    images_NCHW = _images(classifier, _NUM_CHECKED)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (found_NK,) = session.run(None, {"images": images_NCHW.numpy()})
    with torch.no_grad():
        expected_NK = classifier(images_NCHW).numpy()
    return float(np.abs(found_NK - expected_NK).max() / max(1.0, np.abs(expected_NK).max()))


def _images(classifier: ImageClassifier, number: int) -> torch.Tensor:
    shape = (number, len(classifier.facts.mean), classifier.facts.side, classifier.facts.side)
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def _reason(error: Exception) -> str:
    """Return the first line that says what is wrong: the exporter wraps the error of the model in advice."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return f"{type(cause).__name__}: {lines[0] if lines else 'no reason given'}"[:300]


def _refused(classifier: ImageClassifier, reason: str) -> UserError:
    name = classifier.facts.config.model.name
    return UserError(f"expected a model that ONNX can hold, got `{name}`: {reason} (--export)")
