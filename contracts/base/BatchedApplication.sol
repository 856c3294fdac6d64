// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {IBatchedApplication} from "../interfaces/IBatchedApplication.sol";
import {IVerifier} from "../interfaces/IVerifier.sol";
import {BoundApplication} from "./BoundApplication.sol";

/// @title BatchedApplication
/// @notice The base of applications that also accept one proof for many accounts. See `IBatchedApplication`.
abstract contract BatchedApplication is IBatchedApplication, BoundApplication {
    /* IMMUTABLES */

    /// @inheritdoc IBatchedApplication
    IVerifier public immutable batchVerifier;
    /// @inheritdoc IBatchedApplication
    uint256 public immutable batchSize;

    /* CONSTRUCTOR */

    constructor(IVerifier verifier_, Layout memory layout, IVerifier batchVerifier_, uint256 batchSize_)
        BoundApplication(verifier_, layout)
    {
        bool none = address(batchVerifier_) == address(0) && batchSize_ == 0;
        bool some = address(batchVerifier_).code.length > 0 && batchSize_ > 1 && layout.limbs == 1;
        if (!none && !some) revert BatchedApplication__BadBatch(address(batchVerifier_), batchSize_);

        batchVerifier = batchVerifier_;
        batchSize = batchSize_;
    }

    /* INTERNAL FUNCTIONS */

    /// @dev Reverts unless the proof is valid, has this number of outputs for each account, and carries
    /// keys of this contract. The lowest 160 bits of a key are its account.
    function _requireValidBatch(uint256 round, uint256 outputs, bytes calldata proof, uint256[] calldata instances)
        internal
        view
    {
        uint256 size = batchSize;
        if (size == 0) revert BatchedApplication__NoBatches();
        uint256 expected = size + _instancesOf(size * outputs);
        if (instances.length != expected) revert BoundApplication__WrongInstanceCount(expected, instances.length);

        uint256 padding = _keyOf(address(0), round);
        for (uint256 i = 0; i < size; i++) {
            uint256 key = padding | uint160(instances[i]);
            if (instances[i] != key) revert BoundApplication__WrongKey(i, key, instances[i]);
        }

        _requireAccepted(batchVerifier, proof, instances);
    }
}
