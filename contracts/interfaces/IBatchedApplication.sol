// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {IBoundApplication} from "./IBoundApplication.sol";
import {IVerifier} from "./IVerifier.sol";

/// @title An application that also accepts one proof for many accounts
/// @notice The errors and the parameters of batches.
///
/// Batch: a proof of the same model for several accounts, one input for each.
/// Padding: the zero account, which fills the places that a batch leaves empty.
/// Instances of a batch: the keys of all accounts, then the outputs for each account in turn.
interface IBatchedApplication is IBoundApplication {
    /// @notice The number of consents is not that of the accounts in a batch.
    error BatchedApplication__WrongBatch(uint256 expected, uint256 actual);
    /// @notice The contract was deployed without a verifier of batches.
    error BatchedApplication__NoBatches();
    /// @notice A verifier of batches needs a size of two or more, and keys of one limb.
    error BatchedApplication__BadBatch(address verifier, uint256 size);

    /// @notice The contract that checks the proofs of batches, or zero if there is none.
    function batchVerifier() external view returns (IVerifier);

    /// @notice The number of accounts in a batch, or zero if there are no batches.
    function batchSize() external view returns (uint256);
}
