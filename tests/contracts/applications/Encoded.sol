// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title Encodes the calldata of the verifier in one function and sends it in another
contract Encoded {
    address public immutable verifier;
    mapping(address account => uint256 class) public classOf;

    error Refused();

    constructor(address verifier_) {
        verifier = verifier_;
    }

    function register(address account, bytes calldata proof, uint256[] calldata instances) external {
        if (classOf[account] != 0) revert Refused();
        if (instances.length != 2) revert Refused();
        if (instances[0] != uint160(account)) revert Refused();
        bytes memory answer = _ask(_encoded(proof, instances));
        if (!abi.decode(answer, (bool))) revert Refused();
        classOf[account] = instances[1];
    }

    function _encoded(bytes calldata proof, uint256[] calldata instances) internal pure returns (bytes memory data) {
        data = abi.encodeWithSignature("verifyProof(bytes,uint256[])", proof, instances);
    }

    function _ask(bytes memory data) internal view returns (bytes memory) {
        (bool success, bytes memory answer) = verifier.staticcall(data);
        if (!success) revert Refused();
        return answer;
    }
}
