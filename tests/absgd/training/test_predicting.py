"""The predictions of a run: its logits on whole splits, as they are evaluated, beside the test metrics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
from torch import Tensor

from absgd.datasets import Batch, build_batches, load_splits, load_test
from absgd.records import PREDICTION_SCHEMA
from absgd.training import Trainer
from absgd.training.evaluation import predictions
from absgd.training.kept_logits import KeptLogits
from absgd.training.predicting import predict
from tests.support.small_runs import make

PLAIN = {"loss.name": "ce", "attention": None, "class_balance": {"type": "none"}, "epochs": 2}


def trained(**values: Any) -> Trainer:
    config = make(**PLAIN, **values)
    trainer = Trainer(config, load_splits(config))
    for _ in trainer.epochs():
        pass
    return trainer


def logits_of(table: pa.Table, split: str) -> np.ndarray:
    own = table.filter(pc.equal(table["split"].cast(pa.string()), split))
    return np.array(own["logits"].to_pylist(), dtype=np.float64)


def reference(trainer: Trainer, images: Any) -> tuple[np.ndarray, np.ndarray]:
    batches = build_batches(images, trainer.config, trainer.device).evaluation(500)
    found = [(one.logits_BC.double().numpy(), one.labels_B.numpy()) for one in predictions(trainer.model, batches)]
    logits_NC, labels_N = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return logits_NC, labels_N


@pytest.mark.parametrize("tau", [0.0, 1.5])
def test_predict_gives_the_logits_that_the_test_metrics_come_from(tau: float) -> None:
    trainer = trained(**{"loss.posthoc_tau": tau})
    images = load_test(trainer.config)
    metrics, table = predict(trainer, images)
    assert table.schema == PREDICTION_SCHEMA
    assert metrics == trainer.test(images)
    shift_C = tau * np.log(np.array(trainer.splits.class_counts) / sum(trainer.splits.class_counts))
    for split, own in (("validation", trainer.splits.val), ("test", images)):
        logits_NC, labels_N = reference(trainer, own)
        logits_NC -= shift_C
        logits_NC -= logits_NC.max(axis=1, keepdims=True)
        kept_NC = logits_of(table, split)
        np.testing.assert_allclose(kept_NC, logits_NC, rtol=2e-3, atol=1e-4)
        rows = table.to_pandas().query("split == @split")
        assert rows["index"].tolist() == list(range(len(labels_N)))
        assert rows.label.tolist() == labels_N.tolist()
    hits = logits_of(table, "test").argmax(axis=1) == images.labels_N
    assert metrics is not None
    assert hits.mean() == metrics.test_accuracy


def test_predict_without_a_test_set_has_validation_alone() -> None:
    trainer = trained()
    metrics, table = predict(trainer, None)
    assert metrics is None
    assert table.to_pandas().split.unique().tolist() == ["validation"]


@pytest.mark.parametrize(("validation", "num_changed"), [("noisy", 40), ("clean", 0)])
def test_predict_has_the_validation_labels_that_the_run_was_measured_against(validation: str, num_changed: int) -> None:
    trainer = trained(noise={"type": "symmetric", "rate": 0.4, "validation": validation})
    rows = predict(trainer, None).table.to_pandas()
    assert rows.label.tolist() == trainer.splits.val.labels_N.tolist()
    assert int(rows.changed.sum()) == num_changed
    clean = load_splits(trainer.config.with_values({"noise.validation": "clean"})).val.labels_N
    assert (rows.changed == (rows.label != clean)).all()


def batch_of(count: int) -> Batch:
    return Batch(torch.zeros(count, 1, 1, 1), torch.zeros(count, dtype=torch.int64), torch.arange(count))


def test_kept_logits_keep_the_order_of_close_logits_and_have_no_infinity() -> None:
    given = torch.tensor([[30.001, 30.0, -5.0], [1e6, 0.0, 1e6 - 1]])
    kept = KeptLogits()

    def logits(_: Batch) -> Tensor:
        return given

    assert kept.of(logits)(batch_of(2)) is given
    found = kept.array()
    assert found.dtype == np.float16
    assert found.max(axis=1).tolist() == [0, 0]
    assert found.argmax(axis=1).tolist() == given.argmax(dim=1).tolist()
    assert found[0, 1] == pytest.approx(-0.001, rel=0.01)
    assert found[1, 1] == np.finfo(np.float16).min
