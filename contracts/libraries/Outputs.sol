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

    /// The number of outputs in an instance that holds several: 8 with 29 bits each, or 10 with 25 bits.
    /// The first has the lowest bits. An output of `n` bits is at least `-2**(n-1)`, and less than `2**(n-1)`.
    uint256 internal constant WIDE_LANES = 8;
    uint256 internal constant NARROW_LANES = 10;
    /// Adds `2**(n-1)` to each lane.
    uint256 private constant WIDE_LIFT = 2 ** 28 * ((2 ** 232 - 1) / (2 ** 29 - 1));
    uint256 private constant NARROW_LIFT = 2 ** 24 * ((2 ** 250 - 1) / (2 ** 25 - 1));

    /// @dev Returns which of `count` outputs is the largest; of equal ones, the first. They follow the
    /// first `skipped` ones. The instances hold `lanes` outputs each.
    function largest(uint256 skipped, uint256 count, uint256 lanes, uint256[] calldata instances)
        internal
        pure
        returns (uint256 found)
    {
        if (lanes == WIDE_LANES) return _largestInWideLanes(skipped, count, instances);

        int256 most = type(int256).min;
        for (uint256 i = 0; i < count; i++) {
            int256 output = at(skipped + i, lanes, instances);
            if (output > most) (found, most) = (i, output);
        }
    }

    /// @dev As `largest`, for batches, in which each account pays for it.
    function _largestInWideLanes(uint256 skipped, uint256 count, uint256[] calldata instances)
        private
        pure
        returns (uint256 found)
    {
        // Nothing overflows: counts are small, and lanes have 29 bits.
        unchecked {
            uint256 most;
            uint256 lane = skipped % WIDE_LANES;
            uint256 lifted = _lift(skipped, instances[skipped / WIDE_LANES], WIDE_LIFT, 232) >> (29 * lane);
            for (uint256 i = 0; i < count; i++) {
                if (lane == WIDE_LANES) {
                    (lane, lifted) = (0, _lift(skipped + i, instances[(skipped + i) / WIDE_LANES], WIDE_LIFT, 232));
                }
                // All outputs are lifted by the same, which leaves their order.
                uint256 output = lifted & (2 ** 29 - 1);
                if (output > most) (found, most) = (i, output);
                lifted >>= 29;
                lane++;
            }
        }
    }

    /// @dev Returns the outputs in these instances, which hold `lanes` outputs each.
    function all(uint256 count, uint256 lanes, uint256[] calldata instances)
        internal
        pure
        returns (int256[] memory outputs)
    {
        outputs = new int256[](count);
        for (uint256 i = 0; i < count; i++) {
            outputs[i] = at(i, lanes, instances);
        }
    }

    /// @dev Returns an output by its place.
    function at(uint256 place, uint256 lanes, uint256[] calldata instances) internal pure returns (int256) {
        if (lanes == 1) return signed(place, instances[place]);

        bool wide = lanes == WIDE_LANES;
        uint256 bits = wide ? 29 : 25;
        // Nothing overflows: lanes are not 0, and outputs have few bits.
        unchecked {
            uint256 lifted = _lift(place, instances[place / lanes], wide ? WIDE_LIFT : NARROW_LIFT, wide ? 232 : 250)
                >> (bits * (place % lanes));
            return int256(lifted & ((1 << bits) - 1)) - int256(1 << (bits - 1));
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

    /// @dev Returns an instance `v0 + v1 * 2**n + v2 * 2**(2 * n) + ...` with `2**(n-1)` added to each lane, which
    /// have `bits` together. Each instance that is accepted holds exactly one list of outputs, with `output`.
    function _lift(uint256 output, uint256 instance, uint256 zeros, uint256 bits)
        private
        pure
        returns (uint256 lifted)
    {
        lifted = addmod(instance, zeros, FIELD);
        if (instance >= FIELD || lifted >> bits > 0) {
            revert IBoundApplication.BoundApplication__OutputOutOfRange(output, instance);
        }
    }
}
