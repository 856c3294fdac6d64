// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title In place of a generated verifier, whose pairing it has
contract PairingVerifier {
    function verifyProof(
        uint256[2] calldata a,
        uint256[2][2] calldata b,
        uint256[2] calldata c,
        uint256[2] calldata input
    ) public view returns (bool valid) {
        uint256[12] memory points = [
            a[0], a[1], b[0][0], b[0][1], b[1][0], b[1][1], c[0], c[1], input[0], input[1], 1, 2
        ];
        assembly {
            valid := and(staticcall(gas(), 8, points, 384, points, 32), mload(points))
        }
    }
}

/// @title Inherits its verifier, and uses what only the newest EVM and code generator have
contract Inherited is PairingVerifier {
    mapping(address account => uint256 class) public classOf;

    function join(uint256[8] calldata proof, uint256 class) external {
        assembly {
            if tload(0) { revert(0, 0) }
            tstore(0, 1)
            mcopy(0, 32, 32)
        }
        require(classOf[msg.sender] == 0);
        require(_isValid(proof, [uint256(uint160(msg.sender)), class]));
        classOf[msg.sender] = class;
    }

    function _isValid(uint256[8] calldata proof, uint256[2] memory input) internal view returns (bool) {
        uint256[2] memory a = [proof[0], proof[1]];
        uint256[2] memory c = [proof[6], proof[7]];
        return this.verifyProof(a, [[proof[2], proof[3]], [proof[4], proof[5]]], c, input);
    }
}
