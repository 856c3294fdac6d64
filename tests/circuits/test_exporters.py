"""Circuits of models as the exporters of scikit-learn, XGBoost and LightGBM write them."""

import numpy as np
import onnxruntime
import pytest

from tests.scale import scaled
from zk.binding import read_model
from zk.build import build
from zk.circuit import Circuit, RunArgs
from zk.samples import Samples
from zk.witness import float_answers

pytestmark = pytest.mark.slow
TREES = scaled(3, 10)
# Other models in the lists have the same operators, which test_translation.py covers one by one.
ALIKE = {"logistic", "scaled", "svc", "tree", "forest", "boosted", "kmeans", "boosted-regression"}
CLASSIFIERS = ("logistic", "scaled", "columns", "svc", "tree", "forest", "boosted", "mlp", "kmeans")
REGRESSIONS = ("linear", "boosted-regression")
OTHERS = ("xgboost", "lightgbm")  # classifiers of other libraries


def model_of(name: str):
    """A model that is not trained yet."""
    # Here, because each worker of the tests imports this file.
    import lightgbm
    import xgboost
    from sklearn import cluster, compose, ensemble, linear_model, neural_network, svm, tree
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    some = compose.ColumnTransformer([("some", StandardScaler(), [2, 3])])
    return {
        "logistic": linear_model.LogisticRegression(max_iter=500),
        "scaled": make_pipeline(StandardScaler(), linear_model.LogisticRegression()),
        "columns": make_pipeline(some, linear_model.LogisticRegression()),
        "svc": svm.LinearSVC(),
        "tree": tree.DecisionTreeClassifier(max_depth=4, random_state=0),
        "forest": ensemble.RandomForestClassifier(TREES, max_depth=4, random_state=0),
        "boosted": ensemble.GradientBoostingClassifier(n_estimators=TREES, random_state=0),
        "mlp": neural_network.MLPClassifier((8,), max_iter=2000, random_state=0),
        "kmeans": cluster.KMeans(3, random_state=0, n_init=3),
        "linear": linear_model.LinearRegression(),
        "boosted-regression": ensemble.GradientBoostingRegressor(n_estimators=10, random_state=0),
        "xgboost": xgboost.XGBClassifier(n_estimators=TREES, max_depth=3),
        "lightgbm": lightgbm.LGBMClassifier(n_estimators=TREES, max_depth=3, verbose=-1),
    }[name]


def exported(name: str, model, x: np.ndarray) -> bytes:
    """The model as its exporter writes it, without options."""
    from onnxmltools import convert_lightgbm, convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType
    from skl2onnx import to_onnx

    types, opset = [("x", FloatTensorType([None, x.shape[1]]))], {"": 18, "ai.onnx.ml": 3}
    if name in OTHERS:
        convert = convert_xgboost if name == "xgboost" else convert_lightgbm
        return convert(model, initial_types=types, target_opset=15).SerializeToString()
    return to_onnx(model, x[:1], target_opset=opset).SerializeToString()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.full] if name in ALIKE else [])
        for name in (*CLASSIFIERS, *OTHERS, *REGRESSIONS)
    ],
)
def test_the_circuit_agrees_with_the_export(name, tmp_path):
    from sklearn.datasets import load_diabetes, load_iris

    x, y = (load_diabetes if name in REGRESSIONS else load_iris)(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order].astype(np.float32), y[order]
    if name in REGRESSIONS:
        x, y = x * 20, y / 100
    model = model_of(name).fit(x, y)
    path = tmp_path / "model.onnx"
    path.write_bytes(exported(name, model, x))

    read = read_model(path)
    original = onnxruntime.InferenceSession(path.read_bytes())
    given = original.get_inputs()[0].name
    wanted = [answers_of(original.run([read.output], {given: one[None]})[0]) for one in x]
    assert np.abs(float_answers(read.content, x).reshape(len(x), -1) - wanted).max() < 1e-5

    samples = Samples(x[:32], x[32:132])
    circuit = Circuit.own("own", path, lambda: samples, RunArgs())
    manifest, _ = build(circuit, artifacts=tmp_path / "artifacts", verifiers=tmp_path)
    accuracy = manifest["accuracy"]
    if name in REGRESSIONS:
        assert accuracy["max_error"] <= 0.05 * np.ptp(wanted)
    else:
        assert accuracy["agreement"] >= 0.99


def answers_of(answer) -> np.ndarray:
    """The numbers of an output, which may be a list of maps from classes to probabilities."""
    return np.array([*answer[0].values()] if isinstance(answer, list) else answer).reshape(-1)
