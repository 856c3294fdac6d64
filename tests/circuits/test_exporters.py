"""Circuits of models as the exporters of scikit-learn, XGBoost and LightGBM write them."""

import lightgbm
import numpy as np
import onnxruntime
import pytest
import xgboost
from onnxmltools import convert_lightgbm, convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType
from skl2onnx import to_onnx
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from tests.scale import scaled
from zk.binding import read_model
from zk.build import build
from zk.circuit import Circuit, RunArgs
from zk.samples import Samples
from zk.witness import float_answers

pytestmark = pytest.mark.slow
TREES = scaled(3, 10)
# Other models in the lists have the same operators, which test_translation.py covers one by one.
ALIKE = {"logistic", "scaled", "svc", "tree", "forest", "boosted"}
CLASSIFIERS = {
    "logistic": LogisticRegression(max_iter=500),
    "scaled": make_pipeline(StandardScaler(), LogisticRegression()),
    "columns": make_pipeline(
        ColumnTransformer([("some", StandardScaler(), [2, 3])]), LogisticRegression()
    ),
    "svc": LinearSVC(),
    "tree": DecisionTreeClassifier(max_depth=4, random_state=0),
    "forest": RandomForestClassifier(TREES, max_depth=4, random_state=0),
    "boosted": GradientBoostingClassifier(n_estimators=TREES, random_state=0),
    "mlp": MLPClassifier((8,), max_iter=2000, random_state=0),
    "kmeans": KMeans(3, random_state=0, n_init=3),
    "xgboost": xgboost.XGBClassifier(n_estimators=TREES, max_depth=3),
    "lightgbm": lightgbm.LGBMClassifier(n_estimators=TREES, max_depth=3, verbose=-1),
}
REGRESSIONS = {
    "linear": LinearRegression(),
    "boosted-regression": GradientBoostingRegressor(n_estimators=10, random_state=0),
}


def exported(model, x: np.ndarray) -> bytes:
    """The model as its exporter writes it, without options."""
    types, opset = [("x", FloatTensorType([None, x.shape[1]]))], {"": 18, "ai.onnx.ml": 3}
    if isinstance(model, xgboost.XGBModel):
        return convert_xgboost(model, initial_types=types, target_opset=15).SerializeToString()
    if isinstance(model, lightgbm.LGBMModel):
        return convert_lightgbm(model, initial_types=types, target_opset=15).SerializeToString()
    return to_onnx(model, x[:1], target_opset=opset).SerializeToString()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.full] if name in ALIKE else [])
        for name in (*CLASSIFIERS, *REGRESSIONS)
    ],
)
def test_the_circuit_agrees_with_the_export(name, tmp_path):
    x, y = (load_iris if name in CLASSIFIERS else load_diabetes)(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order].astype(np.float32), y[order]
    if name in REGRESSIONS:
        x, y = x * 20, y / 100
    model = (CLASSIFIERS | REGRESSIONS)[name].fit(x, y)
    path = tmp_path / "model.onnx"
    path.write_bytes(exported(model, x))

    read = read_model(path)
    original = onnxruntime.InferenceSession(path.read_bytes())
    given = original.get_inputs()[0].name
    wanted = [answers_of(original.run([read.output], {given: one[None]})[0]) for one in x]
    assert np.abs(float_answers(read.content, x).reshape(len(x), -1) - wanted).max() < 1e-5

    samples = Samples(x[:32], x[32:132])
    circuit = Circuit.own("own", path, lambda: samples, RunArgs())
    manifest, _ = build(circuit, artifacts=tmp_path / "artifacts", verifiers=tmp_path)
    accuracy = manifest["accuracy"]
    if name in CLASSIFIERS:
        assert accuracy["agreement"] >= 0.99
    else:
        assert accuracy["max_error"] <= 0.05 * np.ptp(wanted)


def answers_of(answer) -> np.ndarray:
    """The numbers of an output, which may be a list of maps from classes to probabilities."""
    return np.array([*answer[0].values()] if isinstance(answer, list) else answer).reshape(-1)
