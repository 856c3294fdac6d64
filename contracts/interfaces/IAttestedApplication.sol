// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

/// @title IAttestedApplication
/// @notice An issuer signs commitments to the private inputs of accounts, and a proof counts only for the
/// input that was attested last. A commitment is the Poseidon hash of the input, which the circuit computes
/// and shows as a public instance.
///
/// @dev A hash hides an input only if it cannot be guessed: the input of the model includes random numbers
/// that the issuer chooses, and that the model ignores.
interface IAttestedApplication {
    /// @notice The issuer is the zero address.
    error AttestedApplication__NoIssuer();
    /// @notice The attestation is from the future, or not newer than the account's last one.
    error AttestedApplication__NotNewer(address account, uint256 time, uint256 last);
    /// @notice The issuer did not sign this attestation.
    error AttestedApplication__NotSigned(address account, uint256 commitment, uint256 time);
    /// @notice The issuer has attested no input of the account.
    error AttestedApplication__NotAttested(address account);
    /// @notice The proof is about another input than the one that was attested last.
    error AttestedApplication__OtherInput(address account, uint256 attested, uint256 proved);

    /// @notice The issuer attested an input of an account.
    event Attested(address indexed account, uint256 commitment, uint256 time);

    /// @notice Records an attestation with the issuer's signature (EIP-712, or ERC-1271 of a contract). Anyone may
    /// send it.
    function attest(address account, uint256 commitment, uint256 time, bytes calldata signature) external;

    /// @notice The account that signs attestations.
    function issuer() external view returns (address);

    /// @notice The commitment to an account's input, from its last attestation.
    function commitmentOf(address account) external view returns (uint256);

    /// @notice The time of an account's last attestation, in Unix time; 0 if there is none.
    function attestedAt(address account) external view returns (uint256);
}
