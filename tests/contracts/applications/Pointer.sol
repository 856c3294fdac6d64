// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

interface IVerifier {
    struct Proof {
        uint256[2] a;
        uint256[2][2] b;
        uint256[2] c;
    }

    function verify(Proof calldata proof, uint256[3] calldata signals) external view returns (bool);
}

/// @title Records claims through pointers into its storage
contract Pointer {
    struct Claim {
        address account;
        bool used;
    }

    struct Campaign {
        uint256 root;
        mapping(bytes32 id => Claim) claims;
    }

    IVerifier public immutable verifier;
    mapping(uint256 number => Campaign) internal _campaigns;

    constructor(IVerifier verifier_) {
        verifier = verifier_;
    }

    function claim(uint256 number, address account, uint256 nullifier, IVerifier.Proof calldata proof) external {
        Campaign storage campaign = _campaigns[number];
        Claim storage entry = _claimIn(campaign, _id(nullifier, proof));
        require(!entry.used);
        require(verifier.verify(proof, [campaign.root, nullifier, uint160(account)]));
        entry.account = account;
        entry.used = true;
    }

    function _claimIn(Campaign storage campaign, bytes32 id) internal view returns (Claim storage) {
        return campaign.claims[id];
    }

    function _id(uint256 nullifier, IVerifier.Proof calldata proof) internal pure returns (bytes32) {
        return bytes32(nullifier);
    }
}
