// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {BoundApplication} from "verdict-contracts/base/BoundApplication.sol";
import {IVerifier} from "verdict-contracts/interfaces/IVerifier.sol";
import {Outputs} from "verdict-contracts/libraries/Outputs.sol";

/// @notice Remembers the class that a model chose for each account.
contract Own is BoundApplication {
    uint256 internal constant OUTPUTS = 3;

    mapping(address account => uint256 class) public classOf;
    mapping(address account => bool) public isKept;

    error Own__IsKept(address account);

    constructor(IVerifier verifier_, Layout memory layout) BoundApplication(verifier_, layout) {}

    function keyOf(address account) public view returns (uint256) {
        return _keyOf(account, 0);
    }

    function keep(address account, bytes calldata proof, uint256[] calldata instances) external {
        if (isKept[account]) revert Own__IsKept(account);

        isKept[account] = true;
        (classOf[account],) = Outputs.leading(_outputsOf(keyOf(account), OUTPUTS, proof, instances));
    }
}
