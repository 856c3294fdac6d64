// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Outputs} from "../../contracts/libraries/Outputs.sol";

/// Calls the library's functions for contracts of one rule.
contract Reading {
    function all(uint256 count, uint256 lanes, uint256[] calldata instances) external pure returns (int256[] memory) {
        return Outputs.all(count, lanes, instances);
    }

    function largest(uint256 skipped, uint256 count, uint256 lanes, uint256[] calldata instances)
        external
        pure
        returns (uint256)
    {
        return Outputs.largest(skipped, count, lanes, instances);
    }

    function leading(int256[] calldata outputs) external pure returns (uint256 first, uint256 lead) {
        return Outputs.leading(outputs);
    }
}
