// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title A verifier that ezkl generated
/// @dev The generated function is not marked `view`, but writes nothing. Declaring it `view` here
/// makes every call a STATICCALL, so not even a malicious verifier could re-enter its caller.
interface IVerifier {
    /// @notice Checks a proof against its public instances.
    /// @dev Reverts with empty data if the proof is not valid; it never returns false.
    function verifyProof(bytes calldata proof, uint256[] calldata instances) external view returns (bool);
}
