// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

interface IVerifier {
    function verifyProof(uint256[8] calldata proof, uint256[2] calldata input) external view;
}

/// @title Pays an amount to an account, both packed into one instance
contract Packed {
    IVerifier public immutable verifier;
    mapping(bytes32 nullifier => bool) public spent;
    mapping(address account => uint256 credit) public creditOf;

    error Refused();

    constructor(IVerifier verifier_) {
        verifier = verifier_;
    }

    function credit(address account, bytes32 packed, bytes32 nullifier, uint256[8] calldata proof) external {
        if (spent[nullifier]) revert Refused();
        spent[nullifier] = true;
        verifier.verifyProof(proof, [uint256(packed), uint256(nullifier)]);
        if (_accountIn(packed) != account) revert Refused();
        creditOf[account] += uint96(uint256(packed));
    }

    function _accountIn(bytes32 packed) internal pure returns (address account) {
        assembly {
            account := shr(96, packed)
        }
    }
}
