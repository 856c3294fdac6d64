// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

interface IVerifier {
    function verify(bytes calldata proof, bytes32[] calldata publicInputs) external view returns (bool);
}

/// @title A small ERC-721 token
abstract contract Token {
    mapping(uint256 id => address owner) internal _owners;
    mapping(address owner => uint256 number) internal _held;

    function balanceOf(address owner) public view returns (uint256) {
        return _held[owner];
    }

    function transferFrom(address from, address to, uint256 id) external {
        require(_owners[id] == from && msg.sender == from && to != address(0));
        _held[from] -= 1;
        _held[to] += 1;
        _owners[id] = to;
    }

    function _mint(address to, uint256 id) internal {
        require(to != address(0) && _owners[id] == address(0));
        _held[to] += 1;
        _owners[id] = to;
    }
}

/// @title Mints one badge for each proved nullifier
contract Badge is Token {
    IVerifier public immutable verifier;
    mapping(bytes32 nullifier => bool) public used;
    uint256 internal _next;

    constructor(IVerifier verifier_) {
        verifier = verifier_;
    }

    function mint(address to, bytes32 nullifier, bytes calldata proof) external {
        require(!used[nullifier]);
        used[nullifier] = true;
        bytes32[] memory publicInputs = new bytes32[](2);
        publicInputs[0] = bytes32(uint256(uint160(to)));
        publicInputs[1] = nullifier;
        require(verifier.verify(proof, publicInputs));
        _mint(to, _next++);
    }
}
