// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {BoundApplication} from "./base/BoundApplication.sol";
import {IClan} from "./interfaces/IClan.sol";
import {IVerifier} from "./interfaces/IVerifier.sol";
import {Outputs} from "./libraries/Outputs.sol";

/// @title Clan
/// @notice Ten clans that accounts join by proofs of drawn digits. See `IClan`.
contract Clan is IClan, BoundApplication {
    struct Membership {
        bool joined;
        uint8 clan;
    }

    /* CONSTANTS */

    /// One clan for each digit, and one output of the model for each clan.
    uint256 internal constant CLANS = 10;
    /// Clan has a single round.
    uint256 internal constant ROUND = 0;
    /// Ten counts of 24 bits fit into one slot.
    uint256 internal constant COUNT_BITS = 24;
    /// The largest number of members that a count can hold.
    uint256 internal constant FULL = 2 ** COUNT_BITS - 1;

    /* STORAGE */

    mapping(address account => Membership membership) internal _memberships;
    /// The counts of all clans; the lowest bits count clan 0.
    uint256 internal _counts;

    /* CONSTRUCTOR */

    constructor(IVerifier verifier_, Layout memory layout) BoundApplication(verifier_, layout) {
        // A bit above the counts keeps the slot nonzero, which saves the first member 17,100 gas.
        _counts = 1 << (CLANS * COUNT_BITS);
    }

    /* PROVING */

    /// @inheritdoc IClan
    function keyOf(address account) external view returns (uint256) {
        return _keyOf(account, ROUND);
    }

    /// @inheritdoc IClan
    function readDigit(address account, bytes calldata proof, uint256[] calldata instances)
        public
        view
        returns (uint256 digit)
    {
        _requireValidProof(_keyOf(account, ROUND), CLANS, proof, instances);

        return digitOf(instances[limbs:]);
    }

    /// @inheritdoc IClan
    function digitOf(uint256[] calldata logits) public pure returns (uint256 digit) {
        if (logits.length != CLANS) revert BoundApplication__WrongInstanceCount(CLANS, logits.length);

        int256 largest = type(int256).min;
        for (uint256 i = 0; i < CLANS; i++) {
            int256 logit = Outputs.signed(i, logits[i]);
            if (logit > largest) (digit, largest) = (i, logit);
        }
    }

    /* JOINING */

    /// @inheritdoc IClan
    function join(address account, bytes calldata proof, uint256[] calldata instances) external {
        if (account == address(0)) revert Clan__ZeroAccount();
        if (_memberships[account].joined) revert Clan__AlreadyMember(account, _memberships[account].clan);

        uint256 clan = readDigit(account, proof, instances);
        uint256 packed = _counts;
        uint256 members = _membersOf(packed, clan) + 1;
        if (members > FULL) revert Clan__Full(clan);
        (uint256 leading, uint256 most) = _leader(packed);

        _memberships[account] = Membership({joined: true, clan: uint8(clan)});
        _counts = packed + (1 << (clan * COUNT_BITS));

        emit Joined(account, clan);
        // Only the clan that grew can take the lead. No clan leads before the first member joins.
        bool leads = members > most || (members == most && clan < leading);
        if (leads && (clan != leading || most == 0)) emit LeaderChanged(clan, members);
    }

    /* VIEWS */

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

    /* INTERNAL FUNCTIONS */

    /// @dev Returns the lowest clan with the most members, and their number.
    function _leader(uint256 packed) internal pure returns (uint256 clan, uint256 most) {
        for (uint256 i = 0; i < CLANS; i++) {
            uint256 members = _membersOf(packed, i);
            if (members > most) (clan, most) = (i, members);
        }
    }

    /// @dev Returns the number of members of a clan.
    function _membersOf(uint256 packed, uint256 clan) internal pure returns (uint256) {
        return (packed >> (clan * COUNT_BITS)) & FULL;
    }
}
