// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";

import {BatchedApplication} from "./base/BatchedApplication.sol";
import {IClan} from "./interfaces/IClan.sol";
import {IVerifier} from "./interfaces/IVerifier.sol";
import {Outputs} from "./libraries/Outputs.sol";

/// @title Clan
/// @notice Ten clans that accounts join by proofs of drawn digits. See `IClan`.
contract Clan is IClan, BatchedApplication, EIP712 {
    struct Membership {
        bool joined;
        uint8 clan;
        uint64 nonce;
    }

    /// The counts while accounts join, and the leaders: before, `CLANS` if there was none, and now.
    struct Tally {
        uint256 packed;
        uint256 led;
        uint256 leading;
        uint256 most;
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
    /// The gas that a contract account may use to answer, because one that burns gas must not end a batch.
    uint256 internal constant ANSWER_GAS = 200_000;

    /* STORAGE */

    mapping(address account => Membership membership) internal _memberships;
    /// The counts of all clans; the lowest bits count clan 0.
    uint256 internal _counts;

    /* CONSTRUCTOR */

    constructor(IVerifier verifier_, Layout memory layout, IVerifier batchVerifier_, uint256 batchSize_)
        BatchedApplication(verifier_, layout, batchVerifier_, batchSize_)
        EIP712("Clan", "1")
    {
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

        return Outputs.largest(0, CLANS, lanes, logits);
    }

    /* JOINING */

    /// @inheritdoc IClan
    function join(address account, bytes calldata proof, uint256[] calldata instances) external {
        if (msg.sender != account) revert Clan__NotTheAccount(account, msg.sender);

        _joinAlone(account, _readFirst(account, proof, instances));
    }

    /// @inheritdoc IClan
    function joinFor(address account, bytes calldata proof, uint256[] calldata instances, Consent calldata consent)
        external
    {
        if (block.timestamp > consent.deadline) revert Clan__ConsentExpired(consent.deadline, block.timestamp);

        uint256 clan = _readFirst(account, proof, instances);
        bytes32 hash = _hashOfConsent(account, clan, _memberships[account].nonce, consent.deadline);
        if (!_signed(account, hash, consent.signature)) revert Clan__NoConsent(account, clan);

        _joinAlone(account, clan);
    }

    /// @inheritdoc IClan
    function joinMany(bytes calldata proof, uint256[] calldata instances, ShortConsent[] calldata consents) external {
        uint256 size = batchSize;
        if (consents.length != size) revert BatchedApplication__WrongBatch(size, consents.length);
        _requireValidBatch(ROUND, CLANS, proof, instances);

        uint256[] calldata logits = instances[size:];
        Tally memory tally = _tally();
        for (uint256 i = 0; i < size; i++) {
            address account = address(uint160(instances[i]));
            uint256 clan = Outputs.largest(i * CLANS, CLANS, lanes, logits);
            Membership storage membership = _memberships[account];
            Reason reason = _against(account, clan, membership, consents[i], tally.packed);
            if (reason == Reason.None) _join(account, clan, membership, tally);
            else emit Skipped(account, reason);
        }
        _keep(tally);
    }

    /// @inheritdoc IClan
    function revokeConsents() external {
        uint64 nonce = ++_memberships[msg.sender].nonce;

        emit ConsentsRevoked(msg.sender, nonce);
    }

    /* VIEWS */

    /// @inheritdoc IClan
    function hashOfConsent(address account, uint256 digit, uint256 deadline) external view returns (bytes32) {
        return _hashOfConsent(account, digit, _memberships[account].nonce, deadline);
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

    /// @dev Returns why an account of a batch does not join.
    function _against(
        address account,
        uint256 clan,
        Membership storage membership,
        ShortConsent calldata consent,
        uint256 packed
    ) internal view returns (Reason) {
        if (account == address(0)) return Reason.Padding;
        if (membership.joined) return Reason.AlreadyMember;
        if (_membersOf(packed, clan) == FULL) return Reason.ClanFull;
        if (msg.sender == account) return Reason.None;
        if (block.timestamp > consent.deadline) return Reason.ConsentExpired;

        bytes32 hash = _hashOfConsent(account, clan, membership.nonce, consent.deadline);
        (address signer, ECDSA.RecoverError problem,) = ECDSA.tryRecover(hash, consent.r, consent.vs);
        if (problem == ECDSA.RecoverError.NoError && signer == account) return Reason.None;

        // The contract of an account takes 65 bytes.
        uint256 vs = uint256(consent.vs);
        bytes memory signature = abi.encodePacked(consent.r, (vs << 1) >> 1, uint8(27 + (vs >> 255)));
        return _approves(account, hash, signature) ? Reason.None : Reason.NoConsent;
    }

    /// @dev Returns true if the account signed this hash.
    function _signed(address account, bytes32 hash, bytes calldata signature) internal view returns (bool) {
        (address signer, ECDSA.RecoverError problem,) = ECDSA.tryRecover(hash, signature);

        return (problem == ECDSA.RecoverError.NoError && signer == account) || _approves(account, hash, signature);
    }

    /// @dev Returns true if the account is a contract that accepts the signature (ERC-1271).
    function _approves(address account, bytes32 hash, bytes memory signature) internal view returns (bool) {
        (bool answered, bytes memory answer) =
            account.staticcall{gas: ANSWER_GAS}(abi.encodeCall(IERC1271.isValidSignature, (hash, signature)));

        return answered && answer.length >= 32 && bytes32(answer) == bytes32(IERC1271.isValidSignature.selector);
    }

    /// @dev Returns the hash of EIP-712 typed data.
    function _hashOfConsent(address account, uint256 digit, uint256 nonce, uint256 deadline)
        internal
        view
        returns (bytes32)
    {
        return _hashTypedDataV4(keccak256(abi.encode(CONSENT, account, digit, nonce, deadline)));
    }

    /// @dev Adds one account to a clan.
    function _joinAlone(address account, uint256 clan) internal {
        Tally memory tally = _tally();
        if (_membersOf(tally.packed, clan) == FULL) revert Clan__Full(clan);

        _join(account, clan, _memberships[account], tally);
        _keep(tally);
    }

    /// @dev Adds an account to a clan that has room.
    function _join(address account, uint256 clan, Membership storage membership, Tally memory tally) internal {
        (membership.joined, membership.clan) = (true, uint8(clan));
        // Neither the count nor its place overflows: the clan has room, and is one of ten.
        unchecked {
            tally.packed += 1 << (clan * COUNT_BITS);
        }
        uint256 members = _membersOf(tally.packed, clan);
        // Only the clan that grew can take the lead.
        if (members > tally.most || (members == tally.most && clan < tally.leading)) {
            (tally.leading, tally.most) = (clan, members);
        }

        emit Joined(account, clan);
    }

    /// @dev Stores the counts after accounts joined.
    function _keep(Tally memory tally) internal {
        _counts = tally.packed;

        if (tally.most > 0 && tally.leading != tally.led) emit LeaderChanged(tally.leading, tally.most);
    }

    /// @dev Returns the counts before accounts join.
    function _tally() internal view returns (Tally memory) {
        uint256 packed = _counts;
        (uint256 leading, uint256 most) = _leader(packed);

        return Tally(packed, most == 0 ? CLANS : leading, leading, most);
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
        unchecked {
            return (packed >> (clan * COUNT_BITS)) & FULL;
        }
    }
}
