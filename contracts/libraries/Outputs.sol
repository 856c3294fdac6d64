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

    /// @dev Returns the integer that the instance of an output encodes: `-v` is `FIELD - v`.
    function signed(uint256 output, uint256 instance) internal pure returns (int256) {
        if (instance < LARGEST) return int256(instance);
        if (instance > FIELD - LARGEST && instance < FIELD) return int256(instance) - int256(FIELD);
        revert IBoundApplication.BoundApplication__OutputOutOfRange(output, instance);
    }
}
