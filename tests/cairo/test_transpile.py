"""`ape run transpile` and `ape run infer`, typed, and what they refuse."""

import json
import os
import tomllib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from cairo import project
from cairo.network import read_network
from models.export import EXPORTS
from tests.networks import write_onnx
from tests.typed import ape, new_process, refused
from tests.warm import APE

DENSE = EXPORTS / "dense-10.onnx"


@pytest.fixture
def x(tmp_path) -> Path:
    """An input of the tutorial's network."""
    np.save(tmp_path / "x.npy", np.random.default_rng(1).uniform(size=(1, 1, 14, 14)))
    return tmp_path / "x.npy"


def transpile(model: Path, folder: Path, *words: str):
    return ape(None, "transpile", str(model), "--output-path", str(folder), *words)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.slow
def test_the_tutorials_project(tmp_path, x):
    made = transpile(DENSE, tmp_path / "mnist_cairo", "--name", "mnist_pytorch")
    assert made.returncode == 0, made.stderr
    assert "crates/layer1  gemm1: 1,960 weights, 10 bias" in made.stdout
    assert "No number overflows" in made.stdout
    assert f"infer {tmp_path}/mnist_cairo --input x.npy" in made.stdout
    layer = ("Scarb.toml", "src/bias.cairo", "src/lib.cairo", "src/weights.cairo")
    crates = {f"crates/layer{number}/{file}" for number in (1, 3) for file in layer}
    fixed = {"crates/fixed/Scarb.toml", "crates/fixed/src/lib.cairo"}
    files = {f"src/{name}.cairo" for name in ("lib", "inference", "functions", "runner")}
    expected = {"Scarb.toml", "cairo_project.toml", *crates, *fixed, *files}
    assert set(contents(tmp_path / "mnist_cairo")) == expected
    for path in (tmp_path / "mnist_cairo").rglob("Scarb.toml"):
        package = tomllib.loads(path.read_text())
        for crate in package.get("dependencies", {}).values():
            assert (path.parent / crate["path"] / "Scarb.toml").is_file()
    with_input = transpile(DENSE, tmp_path / "more", "--input", str(x))
    assert with_input.returncode == 0, with_input.stderr
    assert set(contents(tmp_path / "more")) == expected | {"src/input.cairo"}
    assert "fn main()" in (tmp_path / "more" / "src" / "input.cairo").read_text()


@pytest.mark.slow
def test_inference(tmp_path, x, machine):
    assert transpile(DENSE, tmp_path / "cairo", "--input", str(x)).returncode == 0
    shown = ape(None, "infer", str(tmp_path / "cairo"))
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith("class ")
    assert "nothing was proved" in shown.stdout
    document = json.loads(
        ape(None, "infer", str(tmp_path / "cairo"), "--input", str(x), "--json").stdout
    )
    assert f"class {document['class']}\n" in shown.stdout
    assert np.argmax(document["output"]) == document["class"]
    assert document["steps"] > 100_000


def test_what_a_command_without_a_chain_imports(tmp_path):
    """web3 is most of the second that Ape's networks take to import."""
    words = ("run", "transpile", str(DENSE), "--output-path", str(tmp_path / "project"))
    run = new_process({**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}, str(APE), *words)
    imported = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines()}
    assert run.returncode == 0
    assert "onnx" in imported
    assert not imported & {"web3", "ezkl", "torch"}


def test_an_existing_folder_is_kept(tmp_path):
    folder, other = tmp_path / "cairo", tmp_path / "other"
    assert transpile(DENSE, folder).returncode == 0
    before = contents(folder)
    assert "exists: add --force" in refused(transpile(DENSE, folder))
    other.mkdir()
    (other / "diary.txt").write_text("mine")
    for words in ((), ("--force",)):
        assert "it is no Cairo project" in refused(transpile(DENSE, other, *words))
    assert contents(other) == {"diary.txt": b"mine"}
    (folder / "extra").write_text("of mine")
    assert transpile(DENSE, folder, "--force").returncode == 0
    assert contents(folder) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cairo", "other"]


def test_all_unknown_operators_are_named(tmp_path):
    nodes = [
        ("Tanh", "x", "a", {}),
        ("Mul", "a a", "b", {}),
        ("Erf", "b", "c", {}),
        ("Softmax", "c", "y", {"axis": 1}),
    ]
    model = write_onnx(tmp_path / "model.onnx", nodes, (1, 2, 2), (1, 2, 2))
    message = refused(transpile(model, tmp_path / "cairo"))
    assert "because it uses Tanh, Erf, Softmax along another axis than the last:" in message
    assert not (tmp_path / "cairo").exists()


def test_overflow_is_found_before_anything_is_written(tmp_path):
    thousand = np.array([1000], np.float32)
    nodes = [("Mul", "x k", "a", {}), ("Mul", "a k", "y", {})]
    model = write_onnx(tmp_path / "model.onnx", nodes, (1, 2), (1, 2), k=thousand)
    message = refused(transpile(model, tmp_path / "cairo"))
    assert "mul2 overflows for some inputs in this range: the number 1,000,000" in message
    assert not (tmp_path / "cairo").exists()
    np.savez(tmp_path / "small.npz", x=np.array([[[0.01, 0.0]], [[0.0, 0.02]]]))
    made = transpile(model, tmp_path / "cairo", "--data", str(tmp_path / "small.npz"))
    assert "lies between 0.0000 and 20" in made.stdout, made.stderr


def test_models_that_are_refused(tmp_path):
    def model(name: str, element: int, shape: tuple) -> Path:
        tensors = [helper.make_tensor_value_info(one, element, shape) for one in "xy"]
        graph = helper.make_graph(
            [helper.make_node("Relu", ["x"], ["y"])], "model", tensors[:1], tensors[1:]
        )
        opset = [helper.make_opsetid("", 18)]
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), tmp_path / name)
        return tmp_path / name

    (tmp_path / "text.onnx").write_text("no model")
    for path, reason in (
        (model("float64.onnx", TensorProto.DOUBLE, (1, 2)), "float32"),
        (model("open.onnx", TensorProto.FLOAT, (1, "side")), "leaves the sizes side of x open"),
        (tmp_path / "text.onnx", "is not a valid ONNX file"),
        (tmp_path / "nothing.onnx", "not found"),
    ):
        assert reason in refused(transpile(path, tmp_path / "cairo"))
    huge = np.array([40_000], np.float32)
    path = write_onnx(tmp_path / "huge.onnx", [("Mul", "x k", "y", {})], (1, 2), (1, 2), k=huge)
    assert "Mul with weights beyond FP16x16" in refused(transpile(path, tmp_path / "cairo"))
    nodes = [("MatMul", "x k", "a", {}), ("Relu", "a", "y", {})]
    five = np.ones((5, 2), np.float32)  # rows, for three columns
    path = write_onnx(tmp_path / "mismatch.onnx", nodes, (1, 3), (1, 2), k=five)
    unknown = "MatMul of a shape that is not fixed, Relu of a shape that is not fixed"
    assert unknown in refused(transpile(path, tmp_path / "cairo"))
    assert not (tmp_path / "cairo").exists()


def test_external_weights(tmp_path):
    model = onnx.load(DENSE)
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert transpile(path, tmp_path / "cairo").returncode == 0
    assert transpile(DENSE, tmp_path / "same", "--name", "model").returncode == 0
    assert contents(tmp_path / "cairo") == contents(tmp_path / "same")
    (tmp_path / "weights.bin").unlink()
    assert "weights.bin" in refused(transpile(path, tmp_path / "other"))


@pytest.mark.parametrize("name", ["3d", "Mnist", "match", "layer1", "a-b", "número", "fixed"])
def test_names_that_are_no_identifiers(tmp_path, name):
    message = refused(transpile(DENSE, tmp_path / "cairo", "--name", name))
    assert f"{name!r} cannot name a Cairo project: give --name" in message


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        (np.zeros(195), "holds 195 numbers"),
        (np.full(196, np.nan), "not finite"),
        (np.full(196, 40_000.0), "does not fit FP16x16"),
        (np.array(["a"] * 196), "neither an .npy file"),
    ],
)
def test_inputs_that_are_refused(tmp_path, numbers, reason):
    np.save(tmp_path / "x.npy", numbers)
    assert reason in refused(
        transpile(DENSE, tmp_path / "cairo", "--input", str(tmp_path / "x.npy"))
    )
    assert not (tmp_path / "cairo").exists()


def test_no_project(tmp_path):
    for folder in (tmp_path / "nothing", tmp_path):
        assert "is no Cairo project: make one with" in refused(ape(None, "infer", str(folder)))
    (tmp_path / "cairo_project.toml").write_text("crate_roots = 3")
    assert "is no Cairo project" in refused(ape(None, "infer", str(tmp_path)))


def test_no_compiler(tmp_path):
    """Nothing is installed without a yes; without a package index, one sentence says so."""
    assert transpile(DENSE, tmp_path / "cairo").returncode == 0
    empty = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    message = refused(ape(None, "infer", str(tmp_path / "cairo"), **empty))
    assert "licensed for non-commercial use only" in message
    assert "--yes to install it" in message
    assert not (tmp_path / "cache").exists()
    offline = {
        "PIP_INDEX_URL": "http://127.0.0.1:9/",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_RETRIES": "0",
    }
    offline |= {"PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": ""}
    message = refused(ape(None, "infer", str(tmp_path / "cairo"), "--yes", **empty, **offline))
    assert "pip could not install cairo-lang 0.12.3" in message
    assert list((tmp_path / "cache" / "verdict").iterdir()) == []


@pytest.mark.slow
def test_project_that_does_not_compile(tmp_path, x, machine):
    assert transpile(DENSE, tmp_path / "cairo").returncode == 0
    path = tmp_path / "cairo" / "src" / "functions.cairo"
    path.write_text(path.read_text().replace("fixed::relu", "fixed::rely"))
    message = refused(ape(None, "infer", str(tmp_path / "cairo"), "--input", str(x)))
    assert "does not compile with Cairo 2.1.0: error: Function not found" in message


def test_interrupted_transpilation_changes_nothing(tmp_path, monkeypatch):
    folder = tmp_path / "cairo"
    assert transpile(DENSE, folder).returncode == 0
    before = contents(folder)
    monkeypatch.setattr(project, "FIXED", tmp_path / "nothing")
    with pytest.raises(FileNotFoundError):
        project.write_project(folder, "model", read_network(DENSE))
    assert contents(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["cairo"]


def test_a_project_in_folders_that_do_not_exist(tmp_path):
    folder = tmp_path / "many" / "folders" / "cairo"
    assert transpile(DENSE, folder).returncode == 0
    assert (folder / "Scarb.toml").is_file()


def test_weights_and_sums_of_other_shapes(tmp_path):
    stack = np.ones((2, 3, 2), np.float32)
    path = write_onnx(
        tmp_path / "stack.onnx", [("MatMul", "x k", "y", {})], (1, 3), (2, 1, 2), k=stack
    )
    message = refused(transpile(path, tmp_path / "cairo"))
    assert "MatMul with weights of shape (2, 3, 2)" in message
    column = np.ones((3, 1), np.float32)
    nodes = [("MatMul", "x k", "a", {}), ("Add", "x a", "y", {})]
    path = write_onnx(tmp_path / "sum.onnx", nodes, (1, 3), (1, 3), k=column)
    message = refused(transpile(path, tmp_path / "cairo"))
    assert "Add of computed numbers of different shapes" in message


@pytest.mark.parametrize("x", [np.zeros((0, 196)), np.zeros((3, 195))])
def test_samples_that_are_refused(tmp_path, x):
    np.savez(tmp_path / "x.npz", x=x)
    message = refused(transpile(DENSE, tmp_path / "cairo", "--data", str(tmp_path / "x.npz")))
    assert "give one or more inputs of shape (1, 1, 14, 14)" in message
