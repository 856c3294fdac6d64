// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

interface IVerifier {
    function verifyProof(
        uint256[2] calldata a,
        uint256[2][2] calldata b,
        uint256[2] calldata c,
        uint256[1] calldata input
    ) external view returns (bool);
}

/// @title Logs who has shown a valid proof, and keeps nothing
contract Receipt {
    IVerifier public immutable verifier;
    mapping(address account => uint256 shown) public shown;

    event Shown(address account, uint256 output);

    constructor(IVerifier verifier_) {
        verifier = verifier_;
    }

    function show(uint256[2] calldata a, uint256[2][2] calldata b, uint256[2] calldata c, uint256[1] calldata input)
        external
    {
        require(verifier.verifyProof(a, b, c, input));
        emit Shown(msg.sender, input[0]);
    }
}
