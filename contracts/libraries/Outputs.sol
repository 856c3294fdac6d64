// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {IBoundApplication} from "../interfaces/IBoundApplication.sol";

/// @title Outputs
/// @notice Decodes the outputs of a circuit.
library Outputs {
    /// The order of BN254's scalar field, to which all instances belong.
    uint256 internal constant FIELD = 21888242871839275222246405745257275088548364400416034343698204186575808495617;
    /// The absolute value of an output is less than this.
    uint256 internal constant LARGEST = 2 ** 127;

    /// The number of outputs in an instance that holds several, the first in the lowest 29 bits.
    uint256 internal constant LANES = 8;
    /// Adds 2**28 to each lane. An output in a lane is at least `-2**28`, and less than `2**28`.
    uint256 internal constant LIFT =
        2 ** 28 * (1 + 2 ** 29 + 2 ** 58 + 2 ** 87 + 2 ** 116 + 2 ** 145 + 2 ** 174 + 2 ** 203);

    /// @dev Returns which of `count` outputs is the largest; of equal ones, the first. They follow the
    /// first `skipped` ones. The instances hold one output each, or `LANES`.
    function largest(uint256 skipped, uint256 count, uint256 lanes, uint256[] calldata instances)
        internal
        pure
        returns (uint256 found)
    {
        if (lanes == LANES) return _largestInLanes(skipped, count, instances);

        int256 most = type(int256).min;
        for (uint256 i = 0; i < count; i++) {
            int256 output = signed(skipped + i, instances[skipped + i]);
            if (output > most) (found, most) = (i, output);
        }
    }

    /// @dev As `largest`, for outputs in lanes.
    function _largestInLanes(uint256 skipped, uint256 count, uint256[] calldata instances)
        private
        pure
        returns (uint256 found)
    {
        // Nothing overflows: counts are small, and lanes have 29 bits.
        unchecked {
            uint256 most;
            uint256 lane = skipped % LANES;
            uint256 lifted = lift(skipped, instances[skipped / LANES]) >> (29 * lane);
            for (uint256 i = 0; i < count; i++) {
                if (lane == LANES) (lane, lifted) = (0, lift(skipped + i, instances[(skipped + i) / LANES]));
                // All outputs are lifted by the same, which leaves their order.
                uint256 output = lifted & (2 ** 29 - 1);
                if (output > most) (found, most) = (i, output);
                lifted >>= 29;
                lane++;
            }
        }
    }

    /// @dev Returns the outputs in these instances, which hold one output each, or `LANES`.
    function all(uint256 count, uint256 lanes, uint256[] calldata instances)
        internal
        pure
        returns (int256[] memory outputs)
    {
        outputs = new int256[](count);
        if (lanes == 1) {
            for (uint256 i = 0; i < count; i++) {
                outputs[i] = signed(i, instances[i]);
            }
            return outputs;
        }

        uint256 lifted;
        for (uint256 i = 0; i < count; i++) {
            lifted = i % LANES == 0 ? lift(i, instances[i / LANES]) : lifted >> 29;
            outputs[i] = int256(lifted & (2 ** 29 - 1)) - 2 ** 28;
        }
    }

    /// @dev Returns which output is the largest, and by how much it leads; of equal ones, the first, by 0.
    function leading(int256[] memory outputs) internal pure returns (uint256 first, uint256 lead) {
        int256 second = type(int256).min;
        for (uint256 i = 1; i < outputs.length; i++) {
            int256 other = outputs[i];
            if (other > outputs[first]) (first, other) = (i, outputs[first]);
            if (other > second) second = other;
        }
        lead = uint256(outputs[first] - second);
    }

    /// @dev Returns the integer that the instance of an output encodes: `-v` is `FIELD - v`.
    function signed(uint256 output, uint256 instance) internal pure returns (int256) {
        if (instance < LARGEST) return int256(instance);
        if (instance > FIELD - LARGEST && instance < FIELD) return int256(instance) - int256(FIELD);
        revert IBoundApplication.BoundApplication__OutputOutOfRange(output, instance);
    }

    /// @dev Returns an instance `v0 + v1 * 2**29 + v2 * 2**58 + ...` with `2**28` added to each lane.
    /// Each instance that is accepted holds exactly one list of outputs, the first of them `output`.
    function lift(uint256 output, uint256 instance) internal pure returns (uint256 lifted) {
        lifted = addmod(instance, LIFT, FIELD);
        if (instance >= FIELD || lifted >= 2 ** 232) {
            revert IBoundApplication.BoundApplication__OutputOutOfRange(output, instance);
        }
    }
}
