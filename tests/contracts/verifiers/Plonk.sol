// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title The frame of a PLONK verifier for two instances: ranges, challenge, sum and pairing
/// @dev Its equation has no gates. Tests fill in a key and plant one fault at a time.
abstract contract Plonk {
    uint256 internal constant ORDER = 21888242871839275222246405745257275088548364400416034343698204186575808495617;

    /// @dev Two points, the SRS's point of G2, and the generator of G2.
    function _key() private pure returns (uint256[12] memory key) {
        key[0] = 0;
    }

    function _challenge(uint256[24] memory proof, uint256[2] memory instances) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode(_key(), instances, proof))) % ORDER;
    }

    function _verifies(uint256[24] memory proof, uint256 points, uint256[2] memory instances, uint256 challenge)
        internal
        view
        returns (bool)
    {
        uint256[12] memory key = _key();
        for (uint256 i = 0; i < 2; i++) {
            if (instances[i] >= ORDER) return false;
        }
        uint256[2] memory total = _sum([key[0], key[1]], _product([key[2], key[3]], challenge));
        for (uint256 i = 0; i < points; i++) {
            challenge = mulmod(challenge, challenge, ORDER);
            total = _sum(total, _product([proof[2 * i], proof[2 * i + 1]], challenge));
        }
        uint256[12] memory pairs;
        (pairs[0], pairs[1]) = (total[0], total[1]);
        (pairs[6], pairs[7]) = (proof[2 * points - 2], proof[2 * points - 1]);
        for (uint256 i = 0; i < 4; i++) {
            pairs[2 + i] = key[4 + i];
            pairs[8 + i] = key[8 + i];
        }
        (bool ok, bytes memory answer) = address(8).staticcall(abi.encode(pairs));
        return ok && abi.decode(answer, (bool));
    }

    function _sum(uint256[2] memory one, uint256[2] memory other) private view returns (uint256[2] memory) {
        (bool ok, bytes memory answer) = address(6).staticcall(abi.encode(one, other));
        require(ok);
        return abi.decode(answer, (uint256[2]));
    }

    function _product(uint256[2] memory point, uint256 factor) private view returns (uint256[2] memory) {
        (bool ok, bytes memory answer) = address(7).staticcall(abi.encode(point, factor));
        require(ok);
        return abi.decode(answer, (uint256[2]));
    }
}

/// @title A verifier that is called like snarkjs' for PLONK
contract NinePoints is Plonk {
    function verifyProof(uint256[24] calldata proof, uint256[2] calldata instances) external view returns (bool) {
        return _verifies(proof, 9, instances, _challenge(proof, instances));
    }
}

/// @title A verifier that is called like snarkjs' for fflonk
contract FourPoints is Plonk {
    function verifyProof(bytes32[24] calldata proof, uint256[2] calldata instances) external view returns (bool) {
        uint256[24] memory words;
        for (uint256 i = 0; i < 23; i++) {
            words[i] = uint256(proof[i]);
        }
        uint256 challenge = _challenge(words, instances);
        if (mulmod(challenge, uint256(proof[23]), ORDER) != 1) return false;
        return _verifies(words, 4, instances, challenge);
    }
}
