// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

interface IVerifier {
    function verifyProof(bytes calldata proof, uint256[2] calldata instances) external view returns (bool);
}

interface IRegistry {
    function isVerified(address account) external view returns (bool);
}

/// @title Takes proofs of several circuits, by verifiers that its owner allows
contract Allowed {
    address public immutable owner;
    IRegistry public immutable registry;
    mapping(IVerifier verifier => bool) public allowed;
    mapping(address account => bool) public isVerified;
    mapping(address account => uint256 class) public classOf;

    constructor(IRegistry registry_) {
        (owner, registry) = (msg.sender, registry_);
    }

    function allow(IVerifier verifier) external {
        require(msg.sender == owner);
        allowed[verifier] = true;
    }

    function join(IVerifier verifier, uint256 class, bytes calldata proof) external {
        require(allowed[verifier]);
        require(!isVerified[msg.sender] && registry.isVerified(msg.sender));
        require(verifier.verifyProof(proof, [uint256(uint160(msg.sender)), class]));
        isVerified[msg.sender] = true;
        classOf[msg.sender] = class;
    }
}
