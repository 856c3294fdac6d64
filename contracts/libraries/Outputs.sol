// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IBoundApplication} from "../interfaces/IBoundApplication.sol";

/// @title Outputs
/// @notice Decodes the outputs of a circuit.
library Outputs {
    /// The order of BN254's scalar field, to which all instances belong.
    uint256 internal constant FIELD = 21888242871839275222246405745257275088548364400416034343698204186575808495617;
    /// The absolute value of an output is less than this.
    uint256 internal constant LARGEST = 2 ** 127;

    /// The number of outputs in an instance that holds several, the first in the lowest 29 bits.
    uint256 internal constant LANES = 5;
    /// An output in a lane is at least `-MIDDLE`, and less than `MIDDLE`.
    int256 internal constant MIDDLE = 2 ** 28;
    /// Adds `MIDDLE` to each lane, which leaves no lane negative.
    uint256 internal constant LIFT = 2 ** 28 * (1 + 2 ** 29 + 2 ** 58 + 2 ** 87 + 2 ** 116);

    /// @dev Returns the first outputs that the instances hold, one or `LANES` in each.
    function read(uint256 count, uint256 lanes, uint256[] calldata instances)
        internal
        pure
        returns (int256[] memory outputs)
    {
        outputs = new int256[](count);
        uint256 lifted;
        for (uint256 i = 0; i < count; i++) {
            if (lanes == 1) {
                outputs[i] = signed(i, instances[i]);
            } else {
                if (i % LANES == 0) lifted = lift(i, instances[i / LANES]);
                // A lane has 29 bits.
                outputs[i] = int256(lifted & (2 ** 29 - 1)) - MIDDLE;
                lifted >>= 29;
            }
        }
    }

    /// @dev Returns the integer that the instance of an output encodes: `-v` is `FIELD - v`.
    function signed(uint256 output, uint256 instance) internal pure returns (int256) {
        if (instance < LARGEST) return int256(instance);
        if (instance > FIELD - LARGEST && instance < FIELD) return int256(instance) - int256(FIELD);
        revert IBoundApplication.BoundApplication__OutputOutOfRange(output, instance);
    }

    /// @dev Returns an instance `v0 + v1 * 2**29 + v2 * 2**58 + ...` with `MIDDLE` added to each lane.
    /// Each instance that is accepted holds exactly one list of outputs, the first of them `output`.
    function lift(uint256 output, uint256 instance) internal pure returns (uint256 lifted) {
        lifted = addmod(instance, LIFT, FIELD);
        if (instance >= FIELD || lifted >= 2 ** 145) {
            revert IBoundApplication.BoundApplication__OutputOutOfRange(output, instance);
        }
    }
}
