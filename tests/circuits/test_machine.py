"""The machine of the audit answers as py-evm does, and any code in it runs to an end."""

import pytest
from eth.constants import BLANK_ROOT_HASH
from eth.db.atomic import AtomicDB
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.prague.computation import PragueComputation
from eth.vm.forks.prague.state import PragueState
from eth.vm.message import Message
from eth.vm.transaction_context import BaseTransactionContext

from zk.audit import curve
from zk.audit.machine import ADD, CALLER, CONTRACT, GAS, MULTIPLY, PAIRING, run
from zk.layout import FIELD

BASE, LARGE = curve.BASE_FIELD, 2**256 - 1
SECOND = curve.GENERATOR
POINT, OTHER = curve.multiples(3, 1)[0], curve.multiples(BASE - 7, 1)[0]
STRAY = (0, 1, 0, 0)  # on no curve


def words(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(32) for number in numbers)


def outside() -> tuple[int, int, int, int]:
    """A point on the curve of G2, but not in its subgroup."""
    from py_ecc.optimized_bn128 import FQ2, b2

    for number in range(1, 100):
        x = FQ2((number, 0))
        square = x * x * x + b2
        norm = int(square.coeffs[0]) ** 2 + int(square.coeffs[1]) ** 2
        root = pow(norm, (BASE + 1) // 4, BASE)
        for real in ((int(square.coeffs[0]) + sign * root) * pow(2, -1, BASE) for sign in (1, -1)):
            first = pow(real % BASE, (BASE + 1) // 4, BASE)
            if first and first * first % BASE == real % BASE:
                second = int(square.coeffs[1]) * pow(2 * first, -1, BASE) % BASE
                if FQ2((first, second)) * FQ2((first, second)) == square:
                    return 0, number, second, first
    raise AssertionError("there is none")


CASES = [
    (ADD, b""),
    (ADD, words(*POINT, *OTHER) + b"more"),
    (ADD, words(*POINT, *POINT)),
    (ADD, words(1, 2, 1, BASE - 2)),
    (ADD, words(1, 2)[:40]),
    (ADD, words(1, 2, 1, 3)),
    (ADD, words(BASE, 2, 1, 2)),
    (MULTIPLY, words(*POINT, LARGE)),
    (MULTIPLY, words(*POINT, FIELD)),
    (MULTIPLY, words(0, 0, 5)),
    (MULTIPLY, words(1, 2)),
    (MULTIPLY, words(BASE + 1, 2, 1)),
    (PAIRING, b""),
    (PAIRING, words(1, 2, *SECOND, 1, BASE - 2, *SECOND)),
    (PAIRING, words(*POINT, *SECOND)),
    (PAIRING, words(*POINT, *SECOND)[:-1]),
    (PAIRING, words(0, 0, *SECOND, 1, 2, 0, 0, 0, 0)),
    (PAIRING, words(1, 3, *SECOND)),
    (PAIRING, words(1, 2, *STRAY)),
    (PAIRING, words(1, 2, BASE, 0, 0, 0)),
    (PAIRING, words(1, 2, *outside())),
]


def forwarding(address: int) -> bytes:
    """Code that forwards its calldata, and returns whether the call succeeds and its answer."""
    call = f"366000600037 6040 611000 36 6000 6000 60{address:02x} 5a f1"
    return bytes.fromhex(call + "610fe052 6060 610fe0 f3")


@pytest.mark.parametrize(("address", "data"), CASES, ids=map(str, range(len(CASES))))
def test_precompiled_contracts(address, data, capfd):
    code = forwarding(address)
    block = ExecutionContext(CALLER, 1, 1, 0, bytes(32), GAS, [], 1, 0, 0)
    state = PragueState(AtomicDB(), block, BLANK_ROOT_HASH)
    message = Message(GAS, CONTRACT, CALLER, 0, data, code)
    context = BaseTransactionContext(0, CALLER)
    expected = PragueComputation.apply_message(state, message, context)
    assert expected.is_success
    assert run(code, data).output == expected.output
    assert capfd.readouterr().err == ""  # zksnake prints why it panics


@pytest.mark.parametrize("operand", ["5f", "60ff", f"7f{'ff' * 32}"])
def test_every_instruction_ends(operand):
    """With operands of any size, or none: the call succeeds or fails, and nothing is raised."""
    for instruction in range(256):
        for count in (0, 17):
            run(bytes.fromhex(operand * count) + bytes([instruction]), b"calldata")
