// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {BoundApplication} from "./base/BoundApplication.sol";
import {IVerifier} from "./interfaces/IVerifier.sol";
import {Outputs} from "./libraries/Outputs.sol";

/// @title Gate
/// @notice Lets accounts in that prove a score. A test adds it to a copy of the project.
contract Gate is BoundApplication {
    mapping(address account => bool entered) public entered;

    /// @notice The account is inside already.
    error Gate__AlreadyInside(address account);

    event Entered(address indexed account, uint256 score);

    constructor(IVerifier verifier_, Layout memory layout) BoundApplication(verifier_, layout) {}

    function keyOf(address account) external view returns (uint256) {
        return _keyOf(account, 0);
    }

    function readScore(address account, bytes calldata proof, uint256[] calldata instances)
        public
        view
        returns (uint256)
    {
        _requireValidProof(_keyOf(account, 0), 1, proof, instances);

        int256 output = Outputs.signed(0, instances[limbs]);
        return output > 0 ? uint256(output) : 0;
    }

    function enter(address account, bytes calldata proof, uint256[] calldata instances) external {
        if (entered[account]) revert Gate__AlreadyInside(account);

        uint256 score = readScore(account, proof, instances);

        entered[account] = true;

        emit Entered(account, score);
    }
}
