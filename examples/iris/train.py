"""Trains a classifier of iris flowers with scikit-learn; writes model.onnx and samples.npz."""

from pathlib import Path

import numpy as np
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

HERE = Path(__file__).parent

flowers = load_iris()
order = np.random.default_rng(0).permutation(len(flowers.data))
x, labels = flowers.data[order].astype(np.float32), flowers.target[order]

model = make_pipeline(StandardScaler(), LogisticRegression()).fit(x[:100], labels[:100])
accuracy = model.score(x[100:], labels[100:])
print(f"accuracy on the {len(x) - 100} flowers that it never saw: {accuracy:.1%}")

# Scores are smaller to prove than probabilities. One that leads by 1 is e times as likely.
exported = to_onnx(model, x[:1], options={id(model[-1]): {"raw_scores": True}})
(HERE / "model.onnx").write_bytes(exported.SerializeToString())
seen = slice(68, None)  # 32 flowers of the training, which calibrate, and those that it never saw
np.savez(
    HERE / "samples.npz",
    x=x[seen],
    labels=labels[seen],
    feature_names=[name.removesuffix(" (cm)") for name in flowers.feature_names],
    target_names=flowers.target_names,
)
