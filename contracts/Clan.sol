// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

import {BoundApplication} from "./base/BoundApplication.sol";
import {IClan} from "./interfaces/IClan.sol";
import {IVerifier} from "./interfaces/IVerifier.sol";
import {Outputs} from "./libraries/Outputs.sol";

/// @title Clan
/// @notice Ten clans that accounts join by proofs of drawn digits. See `IClan`.
contract Clan is IClan, BoundApplication, EIP712 {
    struct Membership {
        bool joined;
        uint8 clan;
        uint64 nonce;
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
    /// What an account signs. The domain adds the chain and this contract.
    bytes32 internal constant CONSENT =
        keccak256("Consent(address account,uint256 digit,uint256 nonce,uint256 deadline)");

    /* STORAGE */

    mapping(address account => Membership membership) internal _memberships;
    /// The counts of all clans; the lowest bits count clan 0.
    uint256 internal _counts;

    /* CONSTRUCTOR */

    constructor(IVerifier verifier_, Layout memory layout) BoundApplication(verifier_, layout) EIP712("Clan", "1") {
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
    function digitOf(uint256[] calldata logits) public view returns (uint256 digit) {
        uint256 expected = _instancesOf(CLANS);
        if (logits.length != expected) revert BoundApplication__WrongInstanceCount(expected, logits.length);

        int256[] memory read = Outputs.read(CLANS, lanes, logits);
        for (uint256 i = 1; i < CLANS; i++) {
            if (read[i] > read[digit]) digit = i;
        }
    }

    /* JOINING */

    /// @inheritdoc IClan
    function join(address account, bytes calldata proof, uint256[] calldata instances) external {
        if (msg.sender != account) revert Clan__NotTheAccount(account, msg.sender);

        _join(account, _readFirst(account, proof, instances));
    }

    /// @inheritdoc IClan
    function joinFor(address account, bytes calldata proof, uint256[] calldata instances, Consent calldata consent)
        external
    {
        if (block.timestamp > consent.deadline) revert Clan__ConsentExpired(consent.deadline, block.timestamp);

        uint256 clan = _readFirst(account, proof, instances);
        bytes32 hash = hashOfConsent(account, clan, consent.deadline);
        if (!SignatureChecker.isValidSignatureNow(account, hash, consent.signature)) {
            revert Clan__NoConsent(account, clan);
        }

        _join(account, clan);
    }

    /// @inheritdoc IClan
    function revokeConsents() external {
        uint64 nonce = ++_memberships[msg.sender].nonce;

        emit ConsentsRevoked(msg.sender, nonce);
    }

    /* VIEWS */

    /// @inheritdoc IClan
    function hashOfConsent(address account, uint256 digit, uint256 deadline) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(CONSENT, account, digit, _memberships[account].nonce, deadline)));
    }

    /// @inheritdoc IClan
    function nonceOf(address account) external view returns (uint256) {
        return _memberships[account].nonce;
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

    /* INTERNAL FUNCTIONS */

    /// @dev Returns the digit that a proof shows for an account that has not joined a clan.
    function _readFirst(address account, bytes calldata proof, uint256[] calldata instances)
        internal
        view
        returns (uint256 digit)
    {
        if (_memberships[account].joined) revert Clan__AlreadyMember(account, _memberships[account].clan);

        return readDigit(account, proof, instances);
    }

    /// @dev Adds an account to a clan.
    function _join(address account, uint256 clan) internal {
        uint256 packed = _counts;
        uint256 members = _membersOf(packed, clan) + 1;
        if (members > FULL) revert Clan__Full(clan);
        (uint256 leading, uint256 most) = _leader(packed);

        _memberships[account].joined = true;
        _memberships[account].clan = uint8(clan);
        _counts = packed + (1 << (clan * COUNT_BITS));

        emit Joined(account, clan);
        // Only the clan that grew can take the lead. No clan leads before the first member joins.
        bool leads = members > most || (members == most && clan < leading);
        if (leads && (clan != leading || most == 0)) emit LeaderChanged(clan, members);
    }

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
