// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

interface IVerifier {
    function verifyProof(bytes calldata proof, uint256[] calldata instances) external view returns (bool);
}

/// @title Pays a prize for a proved score
/// @dev Sound as it is; tests plant one fault at a time.
contract Prize {
    uint256 internal constant LARGEST = 2 ** 127;

    IVerifier public immutable verifier;
    mapping(address account => bool) public won;
    mapping(bytes32 proof => bool) public used;

    error InvalidProof();
    error Refused();

    constructor(IVerifier verifier_) payable {
        verifier = verifier_;
    }

    function claim(address payable account, bytes calldata proof, uint256[] calldata instances) external {
        if (won[account]) revert Refused();
        if (instances.length != 2) revert Refused();
        if (instances[0] != uint160(address(account))) revert Refused();

        try verifier.verifyProof(proof, instances) returns (bool valid) {
            if (!valid) revert InvalidProof();
        } catch {
            revert InvalidProof();
        }

        uint256 score = instances[1];
        if (score >= LARGEST) revert Refused();
        if (score < 100) revert Refused();

        won[account] = true;
        (bool paid,) = account.call{value: 1 ether}("");
        if (!paid) revert Refused();
    }
}
