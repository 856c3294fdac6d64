// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {IVerifier} from "./IVerifier.sol";

/// @title An application that accepts proofs bound to accounts
/// @notice The errors, the layout and the parameters that all applications share.
///
/// Key: a number of 252 bits, `(domain << 160) | account`. The domain is a hash of the chain, the
/// contract and the round, which makes a proof useless anywhere else.
/// Limb: a part of the key that fits into one public instance.
/// Instances: the public values of a proof, first the limbs of its key, then the outputs of its model.
///
/// @dev The contract computes the limbs that it expects and compares them with the instances. It
/// does not decode the key of a single proof.
interface IBoundApplication {
    /// @notice The verifier rejects the proof for these instances.
    error BoundApplication__InvalidProof();
    /// @notice The number of instances is not the circuit's.
    error BoundApplication__WrongInstanceCount(uint256 expected, uint256 actual);
    /// @notice The proof was made for another account, chain, contract or round.
    error BoundApplication__WrongKey(uint256 limb, uint256 expected, uint256 actual);
    /// @notice The instance does not encode an integer between -2**127 and 2**127, or eight of 29 bits.
    error BoundApplication__OutputOutOfRange(uint256 output, uint256 instance);
    /// @notice The address of the verifier has no code.
    error BoundApplication__NoVerifier(address verifier);
    /// @notice The limbs cannot hold 252 bits, or one of them does not fit into a field element.
    error BoundApplication__BadKeyLayout(uint256 limbs, uint256 limbBits);
    /// @notice The scale exceeds 127: every output would be less than 1.
    error BoundApplication__BadOutputScale(uint256 outputScale);
    /// @notice An instance holds one output or eight.
    error BoundApplication__BadLanes(uint256 lanes);

    /// @notice The layout of a circuit's public instances, as the manifest of its build states it.
    /// @param limbs The number of limbs of the key, the lowest first.
    /// @param limbBits The number of bits per limb.
    /// @param outputScale An output of the model is an integer divided by `2**outputScale`.
    /// @param lanes The number of outputs in an instance.
    struct Layout {
        uint256 limbs;
        uint256 limbBits;
        uint256 outputScale;
        uint256 lanes;
    }

    /// @notice The contract that checks the proofs.
    function verifier() external view returns (IVerifier);

    /// @notice The number of limbs of a key.
    function limbs() external view returns (uint256);

    /// @notice The number of bits per limb.
    function limbBits() external view returns (uint256);

    /// @notice The number of binary fraction digits of an output.
    function outputScale() external view returns (uint256);

    /// @notice The number of outputs in an instance.
    function lanes() external view returns (uint256);
}
