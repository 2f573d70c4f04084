"""The columns of every table, as files on disk have them: a change here is a change of the format."""

from __future__ import annotations

import pyarrow as pa

from absgd import records

CONFIG_COLUMNS = {
    "dataset": ("data.name", "string"),
    "data_title": ("data.title", "string"),
    "data_root": ("data.root", "string"),
    "data_download": ("data.download", "bool"),
    "val_per_class": ("data.val_per_class", "int64"),
    "n_max": ("data.n_max", "int64"),
    "validation": ("data.validation", "string"),
    "data_mean": ("data.mean", "list<item: double>"),
    "data_std": ("data.std", "list<item: double>"),
    "data_side": ("data.side", "int64"),
    "data_resize": ("data.resize", "string"),
    "data_workers": ("data.workers", "int64"),
    "on_bad_image": ("data.on_bad_image", "string"),
    "on_duplicate": ("data.on_duplicate", "string"),
    "imbalance_type": ("imbalance.type", "string"),
    "imbalance_ratio": ("imbalance.ratio", "double"),
    "noise_type": ("noise.type", "string"),
    "noise_rate": ("noise.rate", "double"),
    "noise_validation": ("noise.validation", "string"),
    "augmentation_pad": ("augmentation.pad", "int64"),
    "augmentation_flip": ("augmentation.flip", "bool"),
    "augmentation_rotation_deg": ("augmentation.rotation_deg", "double"),
    "model": ("model.name", "string"),
    "dropout": ("model.dropout", "double"),
    "head": ("model.head", "string"),
    "weights": ("model.weights", "string"),
    "loss": ("loss.name", "string"),
    "focal_gamma": ("loss.focal_gamma", "double"),
    "ldam_max_margin": ("loss.ldam_max_margin", "double"),
    "ldam_scale": ("loss.ldam_scale", "double"),
    "sce_alpha": ("loss.sce_alpha", "double"),
    "sce_beta": ("loss.sce_beta", "double"),
    "tce_q": ("loss.tce_q", "double"),
    "tce_k": ("loss.tce_k", "double"),
    "tce_prune_from": ("loss.tce_prune_from", "int64"),
    "la_tau": ("loss.la_tau", "double"),
    "vs_gamma": ("loss.vs_gamma", "double"),
    "vs_tau": ("loss.vs_tau", "double"),
    "term_tilt": ("loss.term_tilt", "double"),
    "class_tau": ("loss.class_tau", "double"),
    "posthoc_tau": ("loss.posthoc_tau", "double"),
    "lam": ("attention.lam", "double"),
    "gamma": ("attention.gamma", "double"),
    "ab_alpha": ("attention.ab_alpha", "double"),
    "switch_epoch": ("attention.switch_epoch", "int64"),
    "add_uniform": ("attention.add_uniform", "bool"),
    "class_balance": ("class_balance.type", "string"),
    "class_balance_beta": ("class_balance.beta", "double"),
    "class_balance_from_epoch": ("class_balance.from_epoch", "string"),
    "lr": ("optimizer.lr", "double"),
    "momentum": ("optimizer.momentum", "double"),
    "weight_decay": ("optimizer.weight_decay", "double"),
    "fc1_weight_decay": ("optimizer.fc1_weight_decay", "double"),
    "grad_clip": ("optimizer.grad_clip", "double"),
    "sam_rho": ("optimizer.sam_rho", "double"),
    "schedule": ("schedule.type", "string"),
    "warmup_epochs": ("schedule.warmup_epochs", "int64"),
    "milestones": ("schedule.milestones", "list<item: int64>"),
    "lr_factor": ("schedule.factor", "double"),
    "epochs": ("epochs", "int64"),
    "batch_size": ("batch_size", "int64"),
    "seed_data": ("seeds.data", "int64"),
    "seed_train": ("seeds.train", "int64"),
    "device": ("device.type", "string"),
    "threads": ("device.threads", "int64"),
    "fast": ("device.fast", "bool"),
    "precision": ("device.precision", "string"),
    "memory_format": ("device.memory_format", "string"),
    "cuda_graph": ("device.cuda_graph", "bool"),
    "ranks": ("device.ranks", "int64"),
    "plugins": ("plugins", "list<item: string>"),
    "data_options": ("data.options", "string"),
    "model_options": ("model.options", "string"),
    "loss_options": ("loss.options", "string"),
}
"""Column -> (setting, type)."""
TRIAL_COLUMNS = {
    "run": "string",
    "scenario": "string",
    "trial_id": "string",
    "number": "int64",
    "phase": "string",
    "candidate": "string",
    "pair": "int64",
    "status": "string",
    "error": "string",
    **{column: kind for column, (_, kind) in CONFIG_COLUMNS.items()},
    "metric": "string",
    "metric_last": "double",
    "metric_chosen": "double",
    "chosen_epoch": "int64",
    "second_metric": "string",
    "second_last": "double",
    "pareto_rule": "string",
    "test_loss": "double",
    "test_accuracy": "double",
    "test_balanced_accuracy": "double",
    "test_recall": "list<item: double>",
    "test_macro_f1": "double",
    "test_worst_recall": "double",
    "test_calibration_error": "double",
    "test_chosen_loss": "double",
    "test_chosen_accuracy": "double",
    "test_chosen_balanced_accuracy": "double",
    "test_chosen_macro_f1": "double",
    "test_chosen_worst_recall": "double",
    "test_chosen_calibration_error": "double",
    "epochs_trained": "int64",
    "epochs_inherited": "int64",
    "restarts": "int64",
    "wall_s": "double",
    "started_at": "timestamp[ms, tz=UTC]",
    "class_counts": "list<item: int64>",
    "split_hash": "string",
    "stage_one_key": "string",
}
EPOCH_COLUMNS = {
    "run": "string",
    "scenario": "string",
    "trial_id": "string",
    "epoch": "int64",
    "stage": "int64",
    "inherited": "bool",
    "lr": "double",
    "train_loss": "double",
    "val_accuracy": "double",
    "val_balanced_accuracy": "double",
    "val_calibration_error": "double",
    "val_few_accuracy": "double",
    "val_loss": "double",
    "val_macro_f1": "double",
    "val_many_accuracy": "double",
    "val_medium_accuracy": "double",
    "val_worst_recall": "double",
    "val_recall": "list<item: double>",
    "log_u": "double",
    "mean_weight": "list<item: double>",
    "mean_weight_clean": "double",
    "mean_weight_changed": "double",
    "kept_fraction": "double",
    "train_s": "double",
    "val_s": "double",
    "images_per_s": "double",
}
LABEL_COLUMNS = {"index": "int64", "label": "int64", "changed": "bool"}


def columns_of(schema: pa.Schema) -> list[tuple[str, str]]:
    return [(field.name, str(field.type)) for field in schema]


def test_config_columns_derived_from_the_settings_are_those_on_disk() -> None:
    derived = [(column, (key, str(kind))) for column, (key, kind) in records.CONFIG_COLUMNS.items()]
    assert derived == list(CONFIG_COLUMNS.items())


def test_every_new_setting_has_a_default_in_older_tables() -> None:
    """A setting added to the config belongs into `_ADDED_LATER`, or run folders of earlier versions do not resume."""
    assert len(records.CONFIG_COLUMNS) - len(records.ADDED_LATER) == 59


def test_trial_columns_are_those_on_disk() -> None:
    assert columns_of(records.TRIAL_SCHEMA) == list(TRIAL_COLUMNS.items())


def test_epoch_columns_are_those_on_disk() -> None:
    assert columns_of(records.EPOCH_SCHEMA) == list(EPOCH_COLUMNS.items())


def test_label_columns_are_those_on_disk() -> None:
    assert columns_of(records.LABEL_SCHEMA) == list(LABEL_COLUMNS.items())


def test_metrics_keep_their_order_and_directions() -> None:
    assert list(records.METRICS.items()) == [
        ("val_accuracy", "max"),
        ("val_balanced_accuracy", "max"),
        ("val_many_accuracy", "max"),
        ("val_medium_accuracy", "max"),
        ("val_few_accuracy", "max"),
        ("val_macro_f1", "max"),
        ("val_worst_recall", "max"),
        ("val_loss", "min"),
        ("val_calibration_error", "min"),
    ]
    assert set(records.SHOT_METRICS) < set(records.METRICS)
