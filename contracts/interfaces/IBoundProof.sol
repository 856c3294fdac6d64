// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title Proofs that are bound to an account
/// @notice What every application of bound proofs refuses, and how.
/// @dev A proof's public instances are the limbs of its key, then the outputs of its model.
/// The key is `(domain << 160) | account`; the domain stands for a chain, a contract and a round.
interface IBoundProof {
    /// @notice The verifier rejects the proof for these instances.
    error InvalidProof();
    /// @notice The proof comes with more or fewer public instances than its circuit has.
    error WrongInstanceCount(uint256 expected, uint256 actual);
    /// @notice The proof was made for another account, chain, contract or round.
    error WrongKey(uint256 limb, uint256 expected, uint256 actual);
    /// @notice The instance of an output is no number of the circuit's signed range.
    error OutputOutOfRange(uint256 output, uint256 instance);
    /// @notice The verifier's address holds no code.
    error NoVerifier(address verifier);
    /// @notice The limbs cannot hold a key of 224 bits, or are too wide for one field element.
    error BadKeyLayout(uint256 limbs, uint256 limbBits);
    /// @notice Outputs are smaller than 2**127: at a larger scale, all would be next to nothing.
    error BadOutputScale(uint256 outputScale);

    /// @notice How a circuit lays out its public instances; the build's manifest has the values.
    /// @param limbs How many limbs the key is cut into, lowest first.
    /// @param limbBits How many bits of the key a limb holds.
    /// @param outputScale An output's instance stands for `instance / 2**outputScale`.
    struct Layout {
        uint256 limbs;
        uint256 limbBits;
        uint256 outputScale;
    }
}
