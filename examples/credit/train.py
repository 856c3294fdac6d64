"""Trains a score of applicants with scikit-learn; writes model.onnx and samples.npz.

The applicants are generated: they are no data of people.
"""

from pathlib import Path

import numpy as np
from skl2onnx import to_onnx
from sklearn.compose import ColumnTransformer
from sklearn.datasets import make_regression
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

HERE = Path(__file__).parent
KNOWN = ["income", "savings", "debts", "years at work", "late payments", "inquiries"]
SALT = [f"salt {number}" for number in range(1, 7)]  # 24 bits each

random = np.random.default_rng(0)
known, wealth = make_regression(1000, len(KNOWN), noise=10, random_state=0)
scores = 1 / (1 + np.exp(-wealth / wealth.std()))
# Salt in units of 1/128 is a whole number in the circuit, whose inputs have 7 bits after the point.
salt = random.integers(2**24, size=(len(known), len(SALT))) / 128
x = np.concatenate([known, salt], axis=1).astype(np.float32)

# The model ignores the salt, which keeps others from guessing an input by its commitment.
features = ColumnTransformer([("known", StandardScaler(), list(range(len(KNOWN))))])
model = make_pipeline(
    features, MLPRegressor(hidden_layer_sizes=(16,), solver="lbfgs", random_state=0)
)
model.fit(x[:800], scores[:800])
print(f"R2 on the 200 applicants that it never saw: {model.score(x[800:], scores[800:]):.3f}")

(HERE / "model.onnx").write_bytes(to_onnx(model, x[:1]).SerializeToString())
np.savez(
    HERE / "samples.npz",
    x=x[768:],  # 32 applicants of the training, which calibrate, and those that it never saw
    labels=scores[768:],
    feature_names=KNOWN + SALT,
    target_names=["credit score"],
)
