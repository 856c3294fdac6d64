// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

import {IAttestedApplication} from "../interfaces/IAttestedApplication.sol";
import {IVerifier} from "../interfaces/IVerifier.sol";
import {Outputs} from "../libraries/Outputs.sol";
import {BoundApplication} from "./BoundApplication.sol";

/// @title AttestedApplication
/// @notice The base of applications that believe an input only from its issuer. See `IAttestedApplication`.
abstract contract AttestedApplication is IAttestedApplication, BoundApplication, EIP712 {
    /* CONSTANTS */

    /// The instances before the key: the hash of the key, which follows from it, and that of the input.
    uint256 internal constant HASHES = 2;
    bytes32 internal constant ATTESTATION_TYPEHASH =
        keccak256("Attestation(address account,uint256 commitment,uint256 time)");

    /* IMMUTABLES */

    /// @inheritdoc IAttestedApplication
    address public immutable issuer;

    /* STORAGE */

    /// @inheritdoc IAttestedApplication
    mapping(address account => uint256 commitment) public commitmentOf;
    /// @inheritdoc IAttestedApplication
    mapping(address account => uint256 time) public attestedAt;

    /* CONSTRUCTOR */

    constructor(IVerifier verifier_, Layout memory layout, address issuer_)
        BoundApplication(verifier_, layout)
        EIP712("Attestation", "1")
    {
        if (issuer_ == address(0)) revert AttestedApplication__NoIssuer();

        issuer = issuer_;
    }

    /* EXTERNAL FUNCTIONS */

    /// @inheritdoc IAttestedApplication
    function attest(address account, uint256 commitment, uint256 time, bytes calldata signature) external {
        // An older attestation cannot be sent again after a newer one.
        if (time > block.timestamp || time <= attestedAt[account]) {
            revert AttestedApplication__NotNewer(account, time, attestedAt[account]);
        }
        bytes32 attestation = keccak256(abi.encode(ATTESTATION_TYPEHASH, account, commitment, time));
        if (!SignatureChecker.isValidSignatureNow(issuer, _hashTypedDataV4(attestation), signature)) {
            revert AttestedApplication__NotSigned(account, commitment, time);
        }

        commitmentOf[account] = commitment;
        attestedAt[account] = time;

        emit Attested(account, commitment, time);
    }

    /* INTERNAL FUNCTIONS */

    /// @inheritdoc BoundApplication
    /// @dev Believes any input: call `_requireAttested`, too, before acting on the outputs.
    function _outputsOf(uint256 key, uint256 outputs, bytes calldata proof, uint256[] calldata instances)
        internal
        view
        override
        returns (int256[] memory)
    {
        _requireHashes(instances);
        _requireKey(key, outputs, instances[HASHES:]);
        _requireAccepted(verifier, proof, instances);

        return Outputs.all(outputs, lanes, instances[HASHES + limbs:]);
    }

    /// @dev Reverts unless the proof is about the input that the issuer attested for an account.
    function _requireAttested(address account, uint256[] calldata instances) internal view {
        _requireHashes(instances);
        if (attestedAt[account] == 0) revert AttestedApplication__NotAttested(account);
        if (instances[1] != commitmentOf[account]) {
            revert AttestedApplication__OtherInput(account, commitmentOf[account], instances[1]);
        }
    }

    /// @dev Reverts unless there are instances for the hashes.
    function _requireHashes(uint256[] calldata instances) internal pure {
        if (instances.length < HASHES) revert BoundApplication__WrongInstanceCount(HASHES, instances.length);
    }
}
