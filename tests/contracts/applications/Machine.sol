// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

interface IVerifier {
    function verify(bytes calldata seal, bytes32 imageId, bytes32 journalDigest) external view;
}

/// @title Believes what one program of a virtual machine has written into its journal
contract Machine {
    struct Journal {
        address account;
        uint256 amount;
        uint256 nonce;
    }

    bytes32 public constant IMAGE_ID = keccak256("the program");

    IVerifier public immutable verifier;
    mapping(address account => uint256 nonce) public nonces;
    mapping(address account => uint256 credit) public creditOf;

    constructor(IVerifier verifier_) {
        verifier = verifier_;
    }

    function credit(bytes calldata written, bytes calldata seal) external {
        verifier.verify(seal, IMAGE_ID, sha256(written));
        Journal memory journal = abi.decode(written, (Journal));
        require(journal.nonce == nonces[journal.account]++);
        creditOf[journal.account] += journal.amount;
    }
}
