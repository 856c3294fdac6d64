// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IClan} from "./interfaces/IClan.sol";
import {IVerifier} from "./interfaces/IVerifier.sol";
import {BoundProof} from "./libraries/BoundProof.sol";

/// @title Clan. All prose is in the interface.
contract Clan is IClan {
    /// One clan a digit, one output of the model a clan.
    uint256 internal constant CLANS = 10;
    /// Clan has a single round.
    uint256 internal constant ROUND = 0;
    /// Bits of a clan's count: ten counts fit one slot. A clan is full at 16,777,215 members.
    uint256 internal constant COUNT_BITS = 24;
    uint256 internal constant FULL = 2 ** COUNT_BITS - 1;

    IVerifier public immutable verifier;
    uint256 public immutable limbs;
    uint256 public immutable limbBits;
    uint256 public immutable outputScale;

    struct Membership {
        bool joined;
        uint8 clan;
    }

    mapping(address account => Membership) internal _memberships;
    /// The members of all clans in one slot, those of clan 0 in the lowest bits.
    uint256 internal _counts;

    constructor(IVerifier verifier_, Layout memory layout) {
        BoundProof.requireUsable(verifier_, layout);

        verifier = verifier_;
        limbs = layout.limbs;
        limbBits = layout.limbBits;
        outputScale = layout.outputScale;
        // A bit above the counts: filling an empty slot would cost the first member 17,100 gas more.
        _counts = 1 << (CLANS * COUNT_BITS);
    }

    /// @inheritdoc IClan
    function join(address account, bytes calldata proof, uint256[] calldata instances) external {
        if (account == address(0)) revert Clan__ZeroAccount();
        Membership memory membership = _memberships[account];
        if (membership.joined) revert Clan__AlreadyMember(account, membership.clan);

        uint256 clan = readDigit(account, proof, instances);
        uint256 packed = _counts;
        uint256 members = _membersOf(packed, clan);
        if (members == FULL) revert Clan__Full(clan);
        (uint256 leading, uint256 most) = _leader(packed);

        members++;
        _memberships[account] = Membership({joined: true, clan: uint8(clan)});
        _counts = packed + (1 << (clan * COUNT_BITS));
        emit Joined(account, clan);

        // Only the clan that grew can have taken the lead, also from nobody.
        bool leads = members > most || (members == most && clan < leading);
        if (leads && (clan != leading || most == 0)) emit LeaderChanged(clan, members);
    }

    /// @inheritdoc IClan
    function readDigit(address account, bytes calldata proof, uint256[] calldata instances)
        public
        view
        returns (uint256 digit)
    {
        Layout memory layout = Layout({limbs: limbs, limbBits: limbBits, outputScale: outputScale});
        BoundProof.requireValid(verifier, layout, CLANS, keyOf(account), proof, instances);
        return digitOf(instances[limbs:]);
    }

    /// @inheritdoc IClan
    function digitOf(uint256[] calldata logits) public pure returns (uint256 digit) {
        if (logits.length != CLANS) revert WrongInstanceCount(CLANS, logits.length);

        int256 largest = type(int256).min;
        for (uint256 i = 0; i < CLANS; i++) {
            int256 logit = BoundProof.signed(i, logits[i]);
            if (logit > largest) (digit, largest) = (i, logit);
        }
    }

    /// @inheritdoc IClan
    function keyOf(address account) public view returns (uint256) {
        return BoundProof.keyOf(account, ROUND);
    }

    /// @inheritdoc IClan
    function isMember(address account) external view returns (bool) {
        return _memberships[account].joined;
    }

    /// @inheritdoc IClan
    function clanOf(address account) external view returns (uint256) {
        if (!_memberships[account].joined) revert Clan__NotAMember(account);
        return _memberships[account].clan;
    }

    /// @inheritdoc IClan
    function membersOf(uint256 clan) external view returns (uint256) {
        if (clan >= CLANS) revert Clan__NoSuchClan(clan);
        return _membersOf(_counts, clan);
    }

    /// @inheritdoc IClan
    function counts() external view returns (uint256[CLANS] memory members) {
        for (uint256 clan = 0; clan < CLANS; clan++) {
            members[clan] = _membersOf(_counts, clan);
        }
    }

    /// @inheritdoc IClan
    function leader() external view returns (uint256 clan, uint256 members) {
        return _leader(_counts);
    }

    /// @dev The lowest clan with the most members.
    function _leader(uint256 packed) internal pure returns (uint256 clan, uint256 most) {
        for (uint256 i = 0; i < CLANS; i++) {
            uint256 members = _membersOf(packed, i);
            if (members > most) (clan, most) = (i, members);
        }
    }

    function _membersOf(uint256 packed, uint256 clan) internal pure returns (uint256) {
        return (packed >> (clan * COUNT_BITS)) & FULL;
    }
}
