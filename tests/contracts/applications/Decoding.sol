// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title Decodes the account from the instances and calls the verifier with a low-level call
contract Decoding {
    uint256 internal constant LARGEST = 2 ** 127;

    address public immutable verifier;
    mapping(uint256 round => mapping(address account => uint256 score)) public scores;

    error Refused(string why);

    constructor(address verifier_) {
        verifier = verifier_;
    }

    function submit(uint256 round, bytes calldata proof, uint256[] calldata instances) external {
        _verify(proof, instances);
        require(instances[0] == round, Refused("round"));
        address account = address(uint160(instances[1]));
        require(scores[round][account] == 0, Refused("again"));
        scores[round][account] = _score(instances);
    }

    function _verify(bytes calldata proof, uint256[] calldata instances) internal view {
        require(instances.length == 3, Refused("instances"));
        bytes memory data = abi.encodeWithSignature("verifyProof(bytes,uint256[])", proof, instances);
        (bool success, bytes memory answer) = verifier.staticcall(data);
        require(success && abi.decode(answer, (bool)), Refused("proof"));
    }

    function _score(uint256[] calldata instances) internal pure returns (uint256) {
        require(instances[2] < LARGEST, Refused("negative"));
        return instances[2];
    }
}
