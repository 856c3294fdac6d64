// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {IBoundApplication} from "../interfaces/IBoundApplication.sol";
import {IVerifier} from "../interfaces/IVerifier.sol";
import {Outputs} from "../libraries/Outputs.sol";

/// @title BoundApplication
/// @notice The base of every application. See `IBoundApplication`.
abstract contract BoundApplication is IBoundApplication {
    /* CONSTANTS */

    /// The domain of a key has 92 bits, above the 160 bits of an account. Keys are below the order of the field.
    uint256 internal constant DOMAINS = 2 ** 92;
    uint256 internal constant KEY_BITS = 92 + 160;

    /* IMMUTABLES */

    /// @inheritdoc IBoundApplication
    IVerifier public immutable verifier;
    /// @inheritdoc IBoundApplication
    uint256 public immutable limbs;
    /// @inheritdoc IBoundApplication
    uint256 public immutable limbBits;
    /// @inheritdoc IBoundApplication
    uint256 public immutable outputScale;
    /// @inheritdoc IBoundApplication
    uint256 public immutable lanes;

    /* CONSTRUCTOR */

    constructor(IVerifier verifier_, Layout memory layout) {
        if (address(verifier_).code.length == 0) revert BoundApplication__NoVerifier(address(verifier_));
        // A limb of 254 bits can exceed the order of the field.
        if (layout.limbBits == 0 || layout.limbBits > 253 || layout.limbs * layout.limbBits < KEY_BITS) {
            revert BoundApplication__BadKeyLayout(layout.limbs, layout.limbBits);
        }
        if (layout.outputScale > 127) revert BoundApplication__BadOutputScale(layout.outputScale);
        if (layout.lanes != 1 && layout.lanes != Outputs.WIDE_LANES && layout.lanes != Outputs.NARROW_LANES) {
            revert BoundApplication__BadLanes(layout.lanes);
        }

        verifier = verifier_;
        limbs = layout.limbs;
        limbBits = layout.limbBits;
        outputScale = layout.outputScale;
        lanes = layout.lanes;
    }

    /* INTERNAL FUNCTIONS */

    /// @dev Returns the key of an account in a round of this contract on this chain.
    function _keyOf(address account, uint256 round) internal view returns (uint256) {
        uint256 hash = uint256(keccak256(abi.encode(block.chainid, address(this), round)));

        return ((hash % DOMAINS) << 160) | uint160(account);
    }

    /// @dev Returns the number of instances that hold this number of outputs.
    function _instancesOf(uint256 outputs) internal view returns (uint256) {
        return (outputs + lanes - 1) / lanes;
    }

    /// @dev Reverts unless the instances are those of a key and of this number of outputs.
    function _requireCount(uint256 outputs, uint256[] calldata instances) internal view {
        uint256 expected = limbs + _instancesOf(outputs);
        if (instances.length != expected) revert BoundApplication__WrongInstanceCount(expected, instances.length);
    }

    /// @dev Reverts unless the proof is valid, carries the key, and has this number of outputs.
    function _requireValidProof(uint256 key, uint256 outputs, bytes calldata proof, uint256[] calldata instances)
        internal
        view
    {
        _requireKey(key, outputs, instances);
        _requireAccepted(verifier, proof, instances);
    }

    /// @dev Reverts unless the instances are those of this key and of this number of outputs.
    function _requireKey(uint256 key, uint256 outputs, uint256[] calldata instances) internal view {
        _requireCount(outputs, instances);

        uint256 mask = (1 << limbBits) - 1;
        for (uint256 i = 0; i < limbs; i++) {
            uint256 limb = key & mask;
            if (instances[i] != limb) revert BoundApplication__WrongKey(i, limb, instances[i]);
            key >>= limbBits;
        }
    }

    /// @dev Returns the outputs of a valid proof with this key, as integers: a model's output times
    /// `2**outputScale`.
    function _outputsOf(uint256 key, uint256 outputs, bytes calldata proof, uint256[] calldata instances)
        internal
        view
        virtual
        returns (int256[] memory)
    {
        _requireValidProof(key, outputs, proof, instances);

        return Outputs.all(outputs, lanes, instances[limbs:]);
    }

    /// @dev Reverts unless a verifier accepts the proof.
    function _requireAccepted(IVerifier verifier_, bytes calldata proof, uint256[] calldata instances) internal view {
        // The code of a verifier can vanish: one that destroys itself in the transaction that made it.
        if (address(verifier_).code.length == 0) revert BoundApplication__NoVerifier(address(verifier_));
        // A generated verifier reverts without data instead of returning false.
        try verifier_.verifyProof(proof, instances) returns (bool valid) {
            if (!valid) revert BoundApplication__InvalidProof();
        } catch {
            revert BoundApplication__InvalidProof();
        }
    }
}
