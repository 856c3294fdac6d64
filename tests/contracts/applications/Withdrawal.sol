// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

interface IVerifier {
    function verifyProof(bytes calldata proof, uint256[5] calldata input) external returns (bool);
}

/// @title Pays a note back by a relayer, for a fee
contract Withdrawal {
    uint256 public constant AMOUNT = 1 ether;

    IVerifier public immutable verifier;
    mapping(bytes32 root => bool) public roots;
    mapping(bytes32 nullifier => bool) public spent;
    uint256 internal _entered = 1;

    constructor(IVerifier verifier_) payable {
        verifier = verifier_;
    }

    modifier notEntered() {
        require(_entered == 1);
        _entered = 2;
        _;
        _entered = 1;
    }

    function withdraw(
        bytes calldata proof,
        bytes32 root,
        bytes32 nullifier,
        address payable recipient,
        address payable relayer,
        uint256 fee
    ) external notEntered {
        require(fee <= AMOUNT && roots[root] && !spent[nullifier]);
        uint256[5] memory input;
        _fill(input, root, nullifier, recipient);
        input[3] = uint256(uint160(address(relayer)));
        input[4] = fee;
        require(verifier.verifyProof(proof, input));
        spent[nullifier] = true;
        _pay(recipient, AMOUNT - fee);
        if (fee > 0) _pay(relayer, fee);
    }

    function _fill(uint256[5] memory input, bytes32 root, bytes32 nullifier, address recipient) internal pure {
        input[0] = uint256(root);
        input[1] = uint256(nullifier);
        input[2] = uint256(uint160(recipient));
    }

    function _pay(address payable to, uint256 amount) internal {
        (bool paid,) = to.call{value: amount}("");
        require(paid);
    }
}
