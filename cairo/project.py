"""Writes the Cairo project of a network."""

import math
import re
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

from cairo.arithmetic import Integers
from cairo.network import Network, Step
from zk.errors import CircuitError

FIXED = Path(__file__).with_name("fixed")  # the crate of the arithmetic, copied into each project
ROOTS = "cairo_project.toml"
IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")
# Of the language, and of this project's own crates.
TAKEN = {"fixed", "fn", "let", "mod", "use", "if", "else", "loop", "match", "mut", "ref", "type"}
TAKEN |= {"as", "break", "const", "enum", "extern", "false", "impl", "implicits", "nopanic", "of"}
TAKEN |= {"pub", "return", "struct", "super", "trait", "true", "core", "array", "option", "traits"}
WORD = 120  # bits of packed numbers in a word
PART = 50  # words in a function; the compiler is slow on longer ones
USE = "use array::{ArrayTrait, SpanTrait};\n"


def checked_name(name: str) -> str:
    """Return a name that crates may have."""
    if not IDENTIFIER.fullmatch(name) or name in TAKEN or name.startswith("layer"):
        raise CircuitError(
            f"{name!r} cannot name a Cairo project: give --name with small letters, digits and "
            "underscores, a letter first, that is no word of the language."
        )
    return name


def require_room(folder: Path, force: bool) -> None:
    """Refuse to replace anything but a Cairo project, and that only with `force`."""
    if folder.exists() and not (force and (folder / ROOTS).is_file()):
        remedy = "add --force, or" if (folder / ROOTS).is_file() else "it is no Cairo project;"
        raise CircuitError(f"{folder} exists: {remedy} name another --output-path.")


def name_of(folder: Path) -> str:
    """Return the name of the project in a folder."""
    try:
        roots = tomllib.loads((folder / ROOTS).read_text())["crate_roots"]
        return next(str(name) for name, root in roots.items() if root == "src")
    except (OSError, ValueError, LookupError, StopIteration, AttributeError) as error:
        raise CircuitError(
            f"{folder} is no Cairo project: make one with `ape run transpile MODEL.onnx "
            "--output-path FOLDER`."
        ) from error


def write_project(folder: Path, name: str, network: Network, x: Integers | None = None) -> None:
    """Write the project into a new folder, which appears whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        made, before = Path(temporary, "new"), Path(temporary, "old")
        for path, text in _files(name, network, x):
            (made / path).parent.mkdir(parents=True, exist_ok=True)
            (made / path).write_text(text)
        shutil.copytree(FIXED, made / "crates" / "fixed")
        if folder.exists():
            folder.rename(before)
        made.rename(folder)


def _files(name: str, network: Network, x: Integers | None) -> Iterator[tuple[str, str]]:
    layers = [step for step in network.steps if step.operator.constants]
    crates = [f"layer{step.number}" for step in layers]
    yield "Scarb.toml", _package(name, ["fixed", *crates])
    yield ROOTS, _roots(name, ["fixed", *crates])
    for crate, step in zip(crates, layers, strict=True):
        constants = step.operator.constants
        yield f"crates/{crate}/Scarb.toml", _package(crate, ["fixed"], "../")
        yield f"crates/{crate}/src/lib.cairo", "".join(f"mod {part};\n" for part in constants)
        for part, numbers in constants.items():
            yield f"crates/{crate}/src/{part}.cairo", _numbers(numbers)
    modules = ["functions", "inference", "runner", *(["input"] if x is not None else [])]
    yield "src/lib.cairo", "".join(f"mod {module};\n" for module in sorted(modules))
    yield (
        "src/functions.cairo",
        USE + "".join(f"\n{_function(step)}" for step in network.steps if step.operator.body),
    )
    yield "src/inference.cairo", _inference(name, network)
    yield "src/runner.cairo", _runner(name, network, x is not None)
    if x is not None:
        yield "src/input.cairo", _input(name, x)


def _package(name: str, crates: list[str], to: str = "crates/") -> str:
    package = f'[package]\nname = "{name}"\nversion = "0.1.0"\n\n[dependencies]\n'
    return package + "".join(f'{crate} = {{ path = "{to}{crate}" }}\n' for crate in crates)


def _roots(name: str, crates: list[str]) -> str:
    roots = "".join(f'{crate} = "crates/{crate}/src"\n' for crate in crates)
    return f'[crate_roots]\n{name} = "src"\n{roots}'


def _numbers(numbers: Integers, function: str = "values") -> str:
    """Return the source of a function that gives these numbers, several in each word."""
    flat = [int(number) for number in numbers.reshape(-1)]
    bits = max(map(abs, flat), default=0).bit_length() + 1
    count = WORD // bits
    words = [
        sum(number + 2 ** (bits - 1) << bits * place for place, number in enumerate(some))
        for some in (flat[i : i + count] for i in range(0, len(flat), count))
    ]
    parts = [words[i : i + PART] for i in range(0, len(words), PART)]
    shape = " x ".join(map(str, numbers.shape))
    source = f"// {shape} FP16x16 numbers, {count} of {bits} bits in each word.\n{USE}"
    source += f"\nfn {function}() -> Array<felt252> {{\n    let mut numbers = ArrayTrait::new();\n"
    source += "".join(f"    part{i}(ref numbers);\n" for i in range(len(parts)))
    source += "    numbers\n}\n"
    for i, part in enumerate(parts):
        until = min((i + 1) * PART * count, len(flat))
        source += f"\nfn part{i}(ref numbers: Array<felt252>) {{\n"
        source += "    let mut words = ArrayTrait::new();\n"
        source += "".join(f"    words.append({word:#x});\n" for word in part)
        source += f"    fixed::unpack(words, {2**bits:#x}, {until}, ref numbers);\n}}\n"
    return source


def _function(step: Step) -> str:
    names = ["x", "y"][: len(dict.fromkeys(step.takes))]
    given = ", ".join(f"{name}: Span<felt252>" for name in names)
    body = step.operator.body
    if len(step.takes) > len(names):  # both are the same
        body = body.replace("(x, y)", "(x, x)")
    constants = "".join(
        f"    let {part} = layer{step.number}::{part}::values();\n"
        for part in step.operator.constants
    )
    for part in step.operator.constants:
        body = re.sub(rf"\b{part}\b", f"{part}.span()", body)
    return f"fn {step.name}({given}) -> Array<felt252> {{\n{constants}    {body}\n}}\n"


def _inference(name: str, network: Network) -> str:
    places, lines = {network.input: "input"}, ""
    for step in network.steps:
        taken = [places[name] for name in dict.fromkeys(step.takes)]
        if step.operator.body:
            lines += f"    let _{step.number} = f::{step.name}({', '.join(taken)});\n"
        places[step.gives] = f"_{step.number}.span()" if step.operator.body else taken[0]
    last = places[network.output].removesuffix(".span()")
    return (
        f"{USE}use {name}::functions as f;\n\n"
        f"/// Compute the output for FP16x16 numbers.\n"
        f"fn inference(input: Span<felt252>) -> Array<felt252> {{\n{lines}    {last}\n}}\n"
    )


def _input(name: str, x: Integers) -> str:
    numbers = _numbers(x, "input").replace(USE, f"{USE}use {name}::inference;\n")
    main = "\nfn main() -> Array<felt252> {\n    inference::inference(input().span())\n}\n"
    return numbers + main


def _runner(name: str, network: Network, has_input: bool) -> str:
    count = math.prod(network.shape)
    own = (
        "\n    #[external(v0)]\n    fn main(self: @ContractState) -> Array<felt252> {\n"
        f"        {name}::input::main()\n    }}\n"
        if has_input
        else ""
    )
    return f"""//! A contract, because the compiler of Cairo 2.1 compiles contracts only.

#[starknet::contract]
mod runner {{
    use array::{{ArrayTrait, SpanTrait}};

    #[storage]
    struct Storage {{}}

    #[external(v0)]
    fn infer(self: @ContractState, input: Array<felt252>) -> Array<felt252> {{
        fixed::check(input.span(), {count});
        {name}::inference::inference(input.span())
    }}
{own}}}
"""
