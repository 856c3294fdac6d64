"""ezkl's settings, file formats and errors, as the rest of the library sees them."""

import json
import logging
import os
import sys

import pytest

from tests.networks import weights, write_onnx
from zk import ezkl
from zk.circuit import RunArgs, Shape
from zk.errors import CircuitError, InvalidProofError, RangeError
from zk.ezkl import Settings, felt, fewest_logrows, read_proof, sentences, usable_rows, write_proof
from zk.manifest import Manifest


@pytest.fixture(scope="module")
def made(first_build) -> Manifest:
    return Manifest(first_build[0] / "artifacts" / "tiny")


@pytest.fixture
def settings(made, tmp_path):
    """Settings of the tiny circuit after these changes."""

    def settings(**changes) -> Settings:
        content = json.loads(made.file("settings").read_text())
        content["run_args"] |= changes.pop("run_args", {})
        path = tmp_path / "settings.json"
        path.write_text(json.dumps({**content, **changes}))
        return Settings(path)

    return settings


def test_settings_of_a_built_circuit(made, settings):
    found = settings()
    assert (found.logrows, found.rows, found.cells) == (11, made["rows"], made["cells"])
    assert found.output_scale == made["output_scale"]
    assert settings(model_output_scales=[0, 9]).output_scale == 9  # the first is the key's
    assert found.shape(11) == Shape(**made["shape"])
    assert found.lookup_scales == []
    assert found.product_cells == 0


def test_calibration_of_the_notebooks_uses_two_columns(tmp_path):
    nodes = [("MatMul", "x m", "y", {})]
    model = write_onnx(tmp_path / "m.onnx", nodes, (1, 4), (1, 2), m=weights(4, 2))
    path = tmp_path / "settings.json"
    ezkl.calibrate(model, path, [[0.5, 1.0, -1.0, 2.0]], [4], "calibrate")
    assert json.loads(path.read_text())["run_args"]["num_inner_cols"] == 2


def test_rows_are_folded_into_columns(settings):
    usable = 2**11 - 16
    for rows, columns in ((1, 2), (usable, 2), (usable + 1, 4), (3 * usable, 6)):
        assert settings(num_rows=rows).shape(11).columns == columns
    assert settings(num_rows=1, run_args={"num_inner_cols": 5}).shape(11).columns == 5


def test_layout_is_the_same_on_any_number_of_rows(tmp_path):
    nodes = [("MatMul", "x m", "h", {}), ("Relu", "h", "y", {})]
    model = write_onnx(tmp_path / "m.onnx", nodes, (8, 8), (8, 8), m=weights(8, 8))
    path, args = tmp_path / "settings.json", RunArgs()
    few, many = (
        ezkl.write_settings(model, path, args, "lay out", logrows=rows) for rows in (8, 20)
    )
    assert 2**8 < few.rows == many.rows
    assert few.shape(20) == many.shape(20) != few.shape(8)


def test_tables_are_folded_into_columns(settings):
    usable, lookups = 2**11 - 16, [{"Sigmoid": {"scale": 128.0}}, "Abs"]
    for smallest, largest, folds in ((0, usable - 1, 1), (0, usable, 2), (-usable, usable, 3)):
        found = settings(required_lookups=lookups, run_args={"lookup_range": [smallest, largest]})
        assert found.shape(11).tables == 2 * folds
        assert found.lookup_scales == [7.0, 0.0]
    assert settings(required_lookups=[{"Sigmoid": {}}]).lookup_scales == [0.0]


def test_cells_of_products(settings):
    equations = [["ij,jk->ik", {"i": 2, "j": 300, "k": 4}], ["i->", {"i": 7}]]
    products = {"total_einsum_col_size": 9, "equations": equations}
    found = settings(einsum_params=products)
    assert found.product_cells == 600 + 1200 + 8 + 7 + 1
    assert found.shape(11).matrices == 1
    products["equations"] = [["i->", {"i": 2 * 2032}]]
    assert settings(einsum_params=products).shape(11).matrices == 2


def test_order_of_checks_and_times_do_not_matter(settings):
    checks = [[1, 2], [3, 4]]
    one = settings(required_range_checks=checks, timestamp=1)
    other = settings(required_range_checks=checks[::-1], timestamp=2)
    assert one.comparable == other.comparable
    assert one.comparable != settings(required_range_checks=checks[:1]).comparable
    assert "timestamp" not in one.comparable and "num_rows" in one.comparable


@pytest.mark.parametrize(
    ("rows", "table", "logrows"),
    [(1, 0, 5), (16, 0, 5), (17, 0, 6), (2032, 0, 11), (2033, 0, 12), (1, 1024, 11), (3000, 9, 12)],
)
def test_fewest_rows_with_room_for_all(rows, table, logrows):
    assert fewest_logrows(rows, table) == logrows
    assert usable_rows(logrows) >= max(rows, table)
    assert usable_rows(logrows) == 2**logrows - 16


def test_inputs_are_private_and_outputs_public(made):
    args = json.loads(made.file("settings").read_text())["run_args"]
    assert (args["input_visibility"], args["param_visibility"]) == ("Private", "Fixed")
    assert args["output_visibility"] == "Public"
    knobs = ezkl._run_args(RunArgs(5, 6, 10, 3, 512, 4, 17, True, True), logrows=19)
    assert (knobs.input_scale, knobs.param_scale, knobs.scale_rebase_multiplier) == (5, 6, 10)
    assert (knobs.num_inner_cols, knobs.decomp_base, knobs.decomp_legs) == (3, 512, 4)
    assert knobs.logrows == 19


def test_instances_are_little_endian(tmp_path):
    assert felt("01" + "00" * 31) == 1
    assert felt("00" * 31 + "01") == 2**248
    path, instances = tmp_path / "proof.json", [0, 1, 2**248, 2**256 - 1]
    write_proof(path, b"\x00\xff", instances)
    assert read_proof(path) == (b"\x00\xff", instances)


SOURCE = "contract Halo2Verifier {\n    success := and(success, eq(0x20, proof.length))\n}\n"


def test_verifier_is_renamed_and_checks_the_offset():
    made = ezkl._renamed_and_checked("ClanVerifier", SOURCE)
    assert made.startswith("contract ClanVerifier {")
    assert "success := and(success, eq(0x20, proof.length))\n" in made
    assert made.count("success := and(success, eq(0x64, proof.offset))\n") == 1
    assert 4 + 3 * 32 == 0x64  # selector, two offsets, and the length of the proof


@pytest.mark.parametrize(
    "source", [SOURCE.replace("Halo2", ""), SOURCE.replace("eq(", "lt("), SOURCE * 2]
)
def test_unexpected_verifier_is_refused(source):
    with pytest.raises(CircuitError, match="generates another verifier for ClanVerifier than"):
        ezkl._renamed_and_checked("ClanVerifier", source)


class PanicException(BaseException):
    """Like the one that Rust code raises."""


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (RuntimeError("Failed to do it: no\n way. "), "ezkl could not try: no way."),
        (PanicException("broken"), "ezkl could not try: broken."),
        (OSError("no"), "ezkl could not try: no."),
        (RuntimeError("full (os error 28)"), "the disk is full; free some space, then"),
        (RuntimeError("odd (os error 5)"), r"try: odd \(os error 5\)\."),
        (RuntimeError("Unimplemented(Mish) now"), "the operator Mish is not supported"),
    ],
)
def test_errors_become_sentences(error, sentence):
    with pytest.raises(InvalidProofError, match=sentence), sentences("try", InvalidProofError):
        raise error


def test_value_that_is_too_large_stays_secret():
    error = RuntimeError("12345 is too large to be represented by base 1024 and n 3")
    with pytest.raises(RangeError) as caught, sentences("try"):
        raise error
    assert str(caught.value) == (
        "ezkl could not try: a value leaves the circuit's range, base 1024 and n 3."
    )


def test_other_errors_pass():
    for error in (KeyError("key"), KeyboardInterrupt()):
        with pytest.raises(type(error)), sentences("try"):
            raise error


def test_what_ezkl_prints_is_read_and_not_shown(capfd):
    with pytest.raises(CircuitError, match="the operator Mish is not supported"), sentences("try"):
        os.write(1, b"Unknown op: Mish")
        raise RuntimeError("failed")
    with sentences("try"):
        os.write(2, b"hidden")
        logging.getLogger("ezkl").error("hidden")
    logger = logging.getLogger("ezkl")
    assert logger.propagate and not logger.handlers
    print("out")
    print("error", file=sys.stderr)
    assert capfd.readouterr() == ("out\n", "error\n")
