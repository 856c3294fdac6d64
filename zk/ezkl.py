"""The only module that imports ezkl: its calls, settings, file formats, quirks and errors.

An upgrade of ezkl changes this file, the pinned versions and the measurements, nothing else.
"""

import asyncio
import json
import logging
import math
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from zk.circuit import RunArgs, Shape
from zk.errors import OBSTACLES, CircuitError, RangeError

VERSION = version("ezkl")
# Rows that halo2 keeps for blinding and ezkl for padding, rounded up.
RESERVED_ROWS = 16

# The ways in which ezkl, and tract inside it, name an operator that they do not support.
UNSUPPORTED = re.compile(r"(?:Unimplemented\(|Unknown op: |analyse for node #\d+ \"[^\"]*\" )(\w+)")
SYSTEM = re.compile(r"\(os error (\d+)\)")
LENGTH_CHECK = re.compile(r"( *)success := and\(success, eq\(0x[0-9a-f]+, proof\.length\)\)\n")
# The position in calldata at which the bytes of the proof, the first of two arguments, begin.
PROOF_OFFSET = "0x64"
TOO_LARGE = re.compile(r"too large to be represented by (base \d+ and n \d+)")


class Settings:
    """The layout of a circuit, as ezkl records it in settings.json."""

    def __init__(self, path: Path) -> None:
        self._content: dict[str, Any] = json.loads(path.read_text())

    @property
    def logrows(self) -> int:
        return int(self._content["run_args"]["logrows"])

    @property
    def rows(self) -> int:
        return int(self._content["num_rows"])

    @property
    def cells(self) -> int:
        return int(self._content["total_assignments"])

    @property
    def output_scale(self) -> int:
        return int(self._content["model_output_scales"][-1])

    @property
    def lookup_scales(self) -> list[float]:
        """The scale of each lookup table, as a power of two."""
        return [
            math.log2(parameters.get("scale", 1)) if isinstance(parameters, dict) else 0.0
            for operation in self._content["required_lookups"]
            for parameters in (operation.values() if isinstance(operation, dict) else [None])
        ]

    @property
    def product_cells(self) -> int:
        """The cells that ezkl reserves for matrix products, within a few per cent.

        A circuit with a matrix product has cells for all its products: one for each element of
        their factors and results.
        """
        products = self._content["einsum_params"]
        if not products["total_einsum_col_size"]:
            return 0
        return sum(
            math.prod(sizes.get(axis, 1) for axis in tensor)
            for equation, sizes in products["equations"]
            for tensor in equation.replace("->", ",").split(",")
        )

    @property
    def decomp_base(self) -> int:
        return int(self._content["run_args"]["decomp_base"])

    def shape(self, logrows: int) -> Shape:
        """Return the shape on this many rows; the layout is the same on any number."""
        columns, usable = self._content["run_args"]["num_inner_cols"], usable_rows(logrows)
        smallest, largest = self._content["run_args"]["lookup_range"]
        tables = len(self._content["required_lookups"])
        return Shape(
            logrows=logrows,
            columns=columns * math.ceil(self.rows / usable),
            tables=tables * math.ceil((largest - smallest + 1) / usable),
            matrices=math.ceil(self.product_cells / (columns * usable)),
        )

    @property
    def comparable(self) -> dict[str, Any]:
        """The settings without the parts that differ between builds of the same circuit."""
        known = _ordered(self._content)
        return {name: value for name, value in known.items() if name != "timestamp"}


def usable_rows(logrows: int) -> int:
    return (1 << logrows) - RESERVED_ROWS


def fewest_logrows(rows: int, table: int = 0) -> int:
    """Return the smallest logrows with room for the rows and a table, such as `decomp_base`'s."""
    return (max(rows, table) + RESERVED_ROWS - 1).bit_length()


def write_settings(
    bound: Path, settings: Path, run_args: RunArgs, doing: str, **more: Any
) -> Settings:
    """Lay out a circuit. `doing` completes the sentence "ezkl could not …" on failure."""
    import ezkl

    with sentences(doing):
        ezkl.gen_settings(str(bound), str(settings), py_run_args=_run_args(run_args, **more))
    # ezkl lists the checks in random order, and the keys depend on it. Sorted, builds are equal.
    content = json.loads(settings.read_text())
    settings.write_text(json.dumps(_ordered(content)))
    return Settings(settings)


def _ordered(content: dict[str, Any]) -> dict[str, Any]:
    checks = ("required_range_checks", "required_lookups")
    # Reversed is the order in the first builds of clan and voice, whose keys stay the same.
    return content | {name: sorted(content[name], key=json.dumps, reverse=True) for name in checks}


def _run_args(run_args: RunArgs, **more: Any) -> Any:
    # Not ezkl's, or perhaps None.
    ours = (
        *("logrows", "largest_input", "smallest_input", "attested", "prover"),
        *run_args.rewriting,
    )
    knobs = {name: value for name, value in asdict(run_args).items() if name not in ours}
    if run_args.slim:  # zk.slim scales the weights, checks the inputs and bounds the outputs
        knobs |= {"input_scale": 0, "param_scale": 0, "scale_rebase_multiplier": 1}
        knobs |= {
            "ignore_range_check_inputs_outputs": True,
            "disable_freivalds": run_args.batch == 1,
        }
    if run_args.attested:
        knobs["input_visibility"] = "hashed"
    return _visible(**{**knobs, **more})


def _visible(**knobs: Any) -> Any:
    """Return arguments for private inputs, fixed parameters and public outputs."""
    import ezkl

    args = ezkl.PyRunArgs()
    args.input_visibility, args.param_visibility = "private", "fixed"
    args.output_visibility = "public"
    for name, value in knobs.items():
        setattr(args, name, value)
    return args


def calibrate(
    model: Path, settings: Path, inputs: list[list[float]], scales: list[int], doing: str
) -> Settings:
    """Lay out a circuit as ezkl's notebooks do: two columns, and ezkl chooses scales and rows."""
    import ezkl

    with sentences(doing), tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "calibration.json")
        data.write_text(json.dumps({"input_data": inputs}))
        ezkl.gen_settings(str(model), str(settings), py_run_args=_visible(num_inner_cols=2))
        ezkl.calibrate_settings(str(data), str(model), str(settings), "resources", scales=scales)
    return Settings(settings)


def compile_circuit(bound: Path, settings: Path, compiled: Path) -> None:
    import ezkl

    with sentences(f"compile {bound}"):
        ezkl.compile_circuit(str(bound), str(compiled), str(settings))


def make_srs(path: Path, logrows: int) -> None:
    import ezkl

    with sentences(f"make a dev SRS of 2**{logrows} rows"):
        ezkl.gen_srs(str(path), logrows)


def make_keys(compiled: Path, srs: Path, verification_key: Path, proving_key: Path) -> None:
    import ezkl

    with sentences(f"make the keys of {compiled}"):
        ezkl.setup(str(compiled), str(verification_key), str(proving_key), str(srs))


def run_witness(
    compiled: Path, inputs: Sequence[Sequence[float | str]], output: Path | None = None
) -> dict[str, Any]:
    """Run a circuit on one list of numbers per input; return its outputs and lookup range.

    The witness, which contains the private inputs, is written to `output`.
    """
    import ezkl

    data = json.dumps({"input_data": inputs})
    run = ezkl.gen_witness(data, str(compiled), str(output) if output else None)
    return {
        "outputs": [felt(value) for value in run["outputs"][-1]],
        "lookups": (int(run["min_lookup_inputs"]), int(run["max_lookup_inputs"])),
        "hashes": [
            felt(one) for one in (run.get("processed_inputs") or {}).get("poseidon_hash", [])
        ],
    }


def satisfied(witness: Path, compiled: Path) -> bool:
    """Check every constraint of a circuit, which `prove` does not do. Slow: for tests."""
    import ezkl

    return bool(ezkl.mock(str(witness), str(compiled)))


def prove(witness: Path, compiled: Path, proving_key: Path, srs: Path, proof: Path) -> None:
    """Write a proof. It may be invalid, because ezkl checks the constraints only in `verify`."""
    import ezkl

    ezkl.prove(str(witness), str(compiled), str(proving_key), str(proof), str(srs))


def verify(proof: Path, settings: Path, verification_key: Path, srs: Path) -> bool:
    import ezkl

    return bool(ezkl.verify(str(proof), str(settings), str(verification_key), str(srs)))


def read_proof(path: Path) -> tuple[bytes, list[int]]:
    """Return the proof and its public instances from a file of ezkl."""
    made = json.loads(path.read_text())
    return bytes(made["proof"]), [felt(value) for value in made["instances"][0]]


def write_proof(path: Path, proof: bytes, instances: list[int]) -> None:
    """Write a proof file that ezkl can verify."""
    content = {
        "protocol": None,
        "instances": [[instance.to_bytes(32, "little").hex() for instance in instances]],
        "proof": list(proof),
        "hex_proof": "0x" + proof.hex(),
        "split": None,
        "pretty_public_inputs": None,
        "timestamp": None,
        "version": None,
    }
    path.write_text(json.dumps(content))


def felt(value: str) -> int:
    """Return the field element of 32 little-endian bytes in hexadecimal."""
    return int.from_bytes(bytes.fromhex(value), "little")


def write_verifier(
    verifier_name: str,
    verification_key: Path,
    settings: Path,
    srs: Path,
    path: Path,
    *,
    reusable: bool = False,
) -> None:
    """Write the Solidity verifier of a verification key, closed against a forgery.

    ezkl's verifiers hash the proof at its ABI offset but read it from a fixed position. Crafted
    calldata can therefore choose a proof after its challenges are known, and prove anything. The
    check that is added here requires the offset to be that position.

    A `reusable` one stays as ezkl writes it, and lets its caller choose the key: the audit's tests
    show that it is refused.
    """
    import ezkl

    abi = path.with_name(f".{verifier_name}.abi.partial")

    async def create() -> None:
        files = (verification_key, settings, path, abi, srs)
        await ezkl.create_evm_verifier(*map(str, files), reusable)

    path.unlink(missing_ok=True)
    try:
        # In a thread, because a notebook's thread already runs an event loop.
        with sentences(f"write the verifier {verifier_name}"), ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, create()).result()
    except CircuitError:
        # ezkl writes the source, then needs a solc on the PATH for an ABI that is not used here.
        # A missing ABI is harmless, an incomplete source is not.
        if not path.is_file() or not path.read_text().rstrip().endswith("}"):
            raise
    finally:
        abi.unlink(missing_ok=True)
    if not reusable:
        path.write_text(_renamed_and_checked(verifier_name, path.read_text()))


def _renamed_and_checked(verifier_name: str, source: str) -> str:
    source, renamed = re.subn(r"\bHalo2Verifier\b", verifier_name, source)
    check = (
        r"\g<0>\1// The code below reads the proof from its usual place: see that it is there\n"
        rf"\1success := and(success, eq({PROOF_OFFSET}, proof.offset))\n"
    )
    source, checked = LENGTH_CHECK.subn(check, source)
    if not renamed or checked != 1:
        raise CircuitError(
            f"ezkl {VERSION} generates another verifier for {verifier_name} than expected: "
            "install the pinned version with `make setup`."
        )
    return source


@contextmanager
def sentences(doing: str, kind: type[CircuitError] = CircuitError) -> Iterator[None]:
    """Turn an error of ezkl, or a panic of its Rust code, into one `CircuitError`.

    Suppress what ezkl prints. Use it in one thread at a time: it redirects standard output.
    """
    with tempfile.TemporaryFile() as sink, _printing_into(sink.fileno()):
        try:
            yield
        # A Rust panic arrives as a PanicException, which derives from BaseException.
        except BaseException as error:
            panicked = type(error).__name__ == "PanicException"
            if not panicked and not isinstance(error, RuntimeError | OSError):
                raise
            sink.seek(0)
            printed = sink.read().decode(errors="replace")
            message, failure = str(error), f"ezkl could not {doing}"
            if limit := TOO_LARGE.search(f"{printed} {message}"):
                # The value itself may be private.
                reason = f"a value leaves the circuit's range, {limit.group(1)}"
                raise RangeError(f"{failure}: {reason}.") from error
            raise kind(f"{failure}: {_reason(message, printed)}.") from error


def _reason(message: str, printed: str) -> str:
    system = SYSTEM.search(message)
    if system and int(system.group(1)) in OBSTACLES:
        return OBSTACLES[int(system.group(1))]
    unsupported = UNSUPPORTED.search(printed) or UNSUPPORTED.search(message)
    if unsupported:
        return f"the operator {unsupported.group(1)} is not supported"
    return re.sub(r"\s+", " ", re.sub(r"^Failed to [\w ]+: ", "", message)).strip(" .")


@contextmanager
def _printing_into(descriptor: int) -> Iterator[None]:
    """Redirect the output and the log of compiled code to a file within the block."""
    logger = logging.getLogger("ezkl")
    with os.fdopen(os.dup(descriptor), "w") as log:
        handler = logging.StreamHandler(log)
        propagate, logger.propagate = logger.propagate, False
        logger.addHandler(handler)
        sys.stdout.flush()
        sys.stderr.flush()
        originals = {stream: os.dup(stream) for stream in (1, 2)}
        try:
            for stream in originals:
                os.dup2(descriptor, stream)
            yield
        finally:
            for stream, original in originals.items():
                os.dup2(original, stream)
                os.close(original)
            logger.removeHandler(handler)
            logger.propagate = propagate
