// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IBoundProof} from "../interfaces/IBoundProof.sol";
import {IVerifier} from "../interfaces/IVerifier.sol";

/// @title The checks of a proof that is bound to an account
/// @notice Keys, signed outputs and the call of the verifier, for every application alike.
library BoundProof {
    /// The order of BN254's scalar field, in which instances live.
    uint256 internal constant FIELD = 21888242871839275222246405745257275088548364400416034343698204186575808495617;
    /// Outputs are smaller than this. A negative output v is the instance `FIELD - |v|`.
    uint256 internal constant LARGEST = 2 ** 127;
    /// 64 bits of domain above the 160 bits of an account.
    uint256 internal constant KEY_BITS = 224;

    /// @dev For constructors: refuses parameters with which no proof, or any proof, would pass.
    function requireUsable(IVerifier verifier, IBoundProof.Layout memory layout) internal view {
        if (address(verifier).code.length == 0) revert IBoundProof.NoVerifier(address(verifier));
        if (layout.limbBits == 0 || layout.limbBits > 253 || layout.limbs * layout.limbBits < KEY_BITS) {
            revert IBoundProof.BadKeyLayout(layout.limbs, layout.limbBits);
        }
        if (layout.outputScale > 127) revert IBoundProof.BadOutputScale(layout.outputScale);
    }

    /// @dev The key of an account in a round of this contract on this chain.
    function keyOf(address account, uint256 round) internal view returns (uint256) {
        uint64 domain = uint64(uint256(keccak256(abi.encode(block.chainid, address(this), round))));
        return (uint256(domain) << 160) | uint160(account);
    }

    /// @dev Returns only if the proof is valid, carries the key, and has that many outputs.
    function requireValid(
        IVerifier verifier,
        IBoundProof.Layout memory layout,
        uint256 outputs,
        uint256 key,
        bytes calldata proof,
        uint256[] calldata instances
    ) internal view {
        if (instances.length != layout.limbs + outputs) {
            revert IBoundProof.WrongInstanceCount(layout.limbs + outputs, instances.length);
        }
        // The limbs are computed, never decoded: every instance has to equal the one expected.
        uint256 mask = (1 << layout.limbBits) - 1;
        for (uint256 i = 0; i < layout.limbs; i++) {
            uint256 limb = key & mask;
            if (instances[i] != limb) revert IBoundProof.WrongKey(i, limb, instances[i]);
            key >>= layout.limbBits;
        }

        try verifier.verifyProof(proof, instances) returns (bool valid) {
            if (!valid) revert IBoundProof.InvalidProof();
        } catch {
            revert IBoundProof.InvalidProof();
        }
    }

    /// @dev The whole number that the instance of an output stands for.
    function signed(uint256 output, uint256 instance) internal pure returns (int256) {
        if (instance < LARGEST) return int256(instance);
        if (instance > FIELD - LARGEST && instance < FIELD) return int256(instance) - int256(FIELD);
        revert IBoundProof.OutputOutOfRange(output, instance);
    }
}
