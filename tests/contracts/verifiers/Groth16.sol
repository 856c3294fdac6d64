// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title The equation of Groth16, for two instances
/// @dev Tests fill in a key and plant one fault at a time.
abstract contract Groth16 {
    uint256 internal constant ORDER = 21888242871839275222246405745257275088548364400416034343698204186575808495617;
    uint256 internal constant FIELD = 21888242871839275222246405745257275088696311157297823662689037894645226208583;

    /// @dev alpha, beta, gamma, delta, and the points of 1 and of the instances.
    function _key() private pure returns (uint256[20] memory key) {
        key[0] = 0;
    }

    function _verifies(uint256[8] memory proof, uint256[2] memory instances) internal view returns (bool) {
        uint256[20] memory key = _key();
        uint256[2] memory total = [key[14], key[15]];
        for (uint256 i = 0; i < 2; i++) {
            if (instances[i] >= ORDER) return false;
            total = _sum(total, _product([key[16 + 2 * i], key[17 + 2 * i]], instances[i]));
        }
        return _holds(proof, key, total);
    }

    function _holds(uint256[8] memory proof, uint256[20] memory key, uint256[2] memory total)
        private
        view
        returns (bool)
    {
        uint256[24] memory pairs;
        pairs[0] = proof[0];
        pairs[1] = (FIELD - proof[1]) % FIELD;
        for (uint256 i = 2; i < 6; i++) {
            pairs[i] = proof[i];
        }
        for (uint256 i = 0; i < 6; i++) {
            pairs[6 + i] = key[i];
        }
        for (uint256 i = 0; i < 4; i++) {
            pairs[14 + i] = key[6 + i];
            pairs[20 + i] = key[10 + i];
        }
        (pairs[12], pairs[13]) = (total[0], total[1]);
        (pairs[18], pairs[19]) = (proof[6], proof[7]);
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

/// @title A verifier that is called like those of snarkjs
contract Answering is Groth16 {
    function verifyProof(
        uint256[2] calldata a,
        uint256[2][2] calldata b,
        uint256[2] calldata c,
        uint256[2] calldata instances
    ) external view returns (bool) {
        return _verifies([a[0], a[1], b[0][0], b[0][1], b[1][0], b[1][1], c[0], c[1]], instances);
    }
}

/// @title A verifier that is called like those of gnark, also with compressed proofs
contract Reverting is Groth16 {
    error Invalid();

    function verifyProof(uint256[8] calldata proof, uint256[2] calldata instances) external view {
        if (!_verifies(proof, instances)) revert Invalid();
    }

    function verifyCompressedProof(uint256[4] calldata proof, uint256[2] calldata instances) external view {
        uint256[8] memory whole;
        (whole[0], whole[1]) = _first(proof[0]);
        (whole[2], whole[3], whole[4], whole[5]) = _second(proof[1], proof[2]);
        (whole[6], whole[7]) = _first(proof[3]);
        if (!_verifies(whole, instances)) revert Invalid();
    }

    /// @dev A point of G1 by its x and, in the last bit, the sign of its y.
    function _first(uint256 short) private view returns (uint256 x, uint256 y) {
        x = short >> 1;
        if (x >= FIELD) revert Invalid();
        y = _root(addmod(mulmod(mulmod(x, x, FIELD), x, FIELD), 3, FIELD));
        if (short & 1 == 1) y = FIELD - y;
    }

    /// @dev A point of G2 by its x. The last bits of the real part say which root y is.
    function _second(uint256 imaginary, uint256 short) private view returns (uint256, uint256, uint256, uint256) {
        uint256 real = short >> 2;
        if (real >= FIELD || imaginary >= FIELD) revert Invalid();
        (uint256 square, uint256 other) = _ySquared(real, imaginary);
        uint256 norm = _root(addmod(mulmod(square, square, FIELD), mulmod(other, other, FIELD), FIELD));
        if (short & 2 == 2) norm = FIELD - norm;
        uint256 y = _root(mulmod(addmod(square, norm, FIELD), _power(2, FIELD - 2), FIELD));
        uint256 yOther = mulmod(other, _power(mulmod(2, y, FIELD), FIELD - 2), FIELD);
        if (short & 1 == 1) (y, yOther) = (FIELD - y, FIELD - yOther);
        return (imaginary, real, yOther, y);
    }

    /// @dev x**3 + 3 / (9 + i)
    function _ySquared(uint256 x, uint256 xi) private view returns (uint256 real, uint256 imaginary) {
        uint256 eightySecond = _power(82, FIELD - 2);
        uint256 product = mulmod(FIELD - 3, mulmod(x, xi, FIELD), FIELD);
        real = addmod(mulmod(mulmod(x, x, FIELD), x, FIELD), mulmod(product, xi, FIELD), FIELD);
        real = addmod(real, mulmod(27, eightySecond, FIELD), FIELD);
        imaginary = addmod(mulmod(mulmod(xi, xi, FIELD), xi, FIELD), mulmod(product, x, FIELD), FIELD);
        imaginary = FIELD - addmod(imaginary, mulmod(3, eightySecond, FIELD), FIELD);
    }

    function _root(uint256 square) private view returns (uint256 root) {
        root = _power(square, (FIELD + 1) / 4);
        if (mulmod(root, root, FIELD) != square) revert Invalid();
    }

    function _power(uint256 base, uint256 exponent) private view returns (uint256) {
        (bool ok, bytes memory answer) =
            address(5).staticcall(abi.encode(uint256(32), uint256(32), uint256(32), base, exponent, FIELD));
        require(ok);
        return abi.decode(answer, (uint256));
    }
}
