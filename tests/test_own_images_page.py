"""The ten lines of docs/own-data.md, on folders that its script writes."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.tune_command import call

DOCS = Path(__file__).parents[1] / "docs"


def write_idx_files(folder: Path) -> None:
    """Write a few random images in the files of Fashion-MNIST."""
    generator = np.random.default_rng(0)
    for part, per_class in (("train", 60), ("t10k", 2)):
        labels = np.tile(np.arange(10, dtype=np.uint8), per_class)
        images = generator.integers(256, size=(len(labels), 28, 28), dtype=np.uint8)
        for kind, header, values in (("images-idx3", 16, images), ("labels-idx1", 8, labels)):
            (folder / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(bytes(header) + values.tobytes()))


def ten_lines() -> str:
    """Return the space of the page."""
    _, block, *_ = (DOCS / "own-data.md").read_text().split("in ten lines")[1].split("\n\n    ")
    return "\n".join(line.removeprefix("    ") for line in block.split("\n\n")[0].splitlines())


def test_ten_lines_lead_from_folders_to_a_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_idx_files(tmp_path)
    subprocess.run([sys.executable, DOCS / "examples/make_folders.py", tmp_path, "my_images"], check=True)
    assert len(list((tmp_path / "my_images/train/shirt").iterdir())) == 60
    assert len(list((tmp_path / "my_images/test/boot").iterdir())) == 2
    lines = ten_lines()
    assert len(lines.splitlines()) == 10
    (tmp_path / "my_images.yaml").write_text(lines)
    result = call("--space", "my_images.yaml", "--preview")
    assert result.exit_code == 0, result.output
    assert "16 trials and 1 control, 20 epochs each" in result.stdout
