"""Write the tables of images that own_parts.py reads: `python docs/examples/make_shapes.py FOLDER`."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

CLASSES = ("disc", "square", "ring", "cross")


def drawn(label: int, generator: np.random.Generator) -> np.ndarray:
    """Return a noisy image of a shape, uint8, shape (16, 16, 3)."""
    rows, columns = np.mgrid[:16, :16] - generator.uniform(6, 9, size=2)[:, None, None]
    size, distance = generator.uniform(3, 5), np.hypot(rows, columns)
    high, wide = abs(rows), abs(columns)
    shapes = (
        distance < size,
        np.maximum(high, wide) < size,
        abs(distance - size) < 1.2,
        (np.minimum(high, wide) < 1.2) & (np.maximum(high, wide) < size),
    )
    bright = generator.uniform(40, 120, size=3) * shapes[label][..., None]
    return np.clip(60 + bright + generator.normal(0, 45, size=(16, 16, 3)), 0, 255).astype(np.uint8)


def write_table(path: Path, per_class: int, seed: int) -> None:
    generator, rows = np.random.default_rng(seed), []
    for label in list(range(len(CLASSES))) * per_class:
        png = io.BytesIO()
        Image.fromarray(drawn(label, generator)).save(png, "PNG")
        rows.append({"image": {"bytes": png.getvalue(), "path": None}, "label": label})
    features = {"image": {"_type": "Image"}, "label": {"names": list(CLASSES), "_type": "ClassLabel"}}
    schema = pa.schema(
        [("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])), ("label", pa.int64())],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    write_table(folder / "train.parquet", 230, seed=0)
    write_table(folder / "test.parquet", 150, seed=1)
