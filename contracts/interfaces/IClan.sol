// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {IBatchedApplication} from "./IBatchedApplication.sol";

/// @title Clan
/// @notice Draw a digit, prove what the model read, join that digit's clan. The largest clan leads.
///
/// Account: the address that joins. The proof contains it.
/// Consent: the account's agreement to join one clan. It sends the transaction itself, or it signs, and
/// anyone may send the transaction for it.
/// Clan: one of the ten digits, 0 included. An account joins one clan, once, and cannot leave it.
/// Leader: the clan with the most members. If several have the most, the lowest digit leads.
///
/// @dev A valid proof shows that the model returned these ten logits for an input known to the
/// prover, and that the prover chose this account.
/// It does not show that anyone drew the input by hand, that the input looks like a digit, or that a
/// person has only one account. Membership shows that the account agreed to this clan.
///
/// Assumptions: the verifier belongs to the intended circuit, and nobody knows the secret of its SRS.
/// The maker of a dev SRS can forge proofs.
interface IClan is IBatchedApplication {
    /// @notice The reasons to skip an account of a batch.
    enum Reason {
        None,
        Padding,
        AlreadyMember,
        ClanFull,
        ConsentExpired,
        NoConsent
    }

    /// @notice An account's signature, which lets anyone send its proof.
    /// @param deadline The last second in which it holds, in Unix time.
    /// @param signature The signature of `hashOfConsent`: of the account's key in 65 bytes, or what a
    /// contract account accepts (ERC-1271).
    struct Consent {
        uint256 deadline;
        bytes signature;
    }

    /// @notice A consent of a batch, with a short signature (ERC-2098). A contract account gets it in 65
    /// bytes; one that needs more of them joins with `joinFor`.
    struct ShortConsent {
        uint256 deadline;
        bytes32 r;
        bytes32 vs;
    }

    /// @notice The account is already in a clan.
    error Clan__AlreadyMember(address account, uint256 clan);
    /// @notice The account is not in any clan.
    error Clan__NotAMember(address account);
    /// @notice Clans are the digits 0 to 9.
    error Clan__NoSuchClan(uint256 clan);
    /// @notice The clan has 16,777,215 members, the most that its count can hold.
    error Clan__Full(uint256 clan);
    /// @notice Only the account itself can join without a signature.
    error Clan__NotTheAccount(address account, address sender);
    /// @notice The deadline of the consent has passed.
    error Clan__ConsentExpired(uint256 deadline, uint256 time);
    /// @notice The account did not sign this: its consent is for another clan, contract or chain, has
    /// another deadline, was revoked, or somebody else signed it.
    error Clan__NoConsent(address account, uint256 clan);

    /// @notice An account joined a clan.
    event Joined(address indexed account, uint256 indexed clan);
    /// @notice A clan took the lead. The first member's clan takes it, too.
    event LeaderChanged(uint256 indexed clan, uint256 members);
    /// @notice An account of a batch did not join.
    event Skipped(address indexed account, Reason reason);
    /// @notice An account revoked every consent that it had signed.
    event ConsentsRevoked(address indexed account, uint256 nonce);

    /// @notice Returns the key that a proof for the account must carry.
    /// @dev The key depends on the chain and on this contract.
    function keyOf(address account) external view returns (uint256);

    /// @notice Returns the digit that a valid proof for the account shows.
    /// @dev Use it to check a proof before sending it. Reverts if the proof is invalid or bound to
    /// another account. Does not ask for consent.
    function readDigit(address account, bytes calldata proof, uint256[] calldata instances)
        external
        view
        returns (uint256 digit);

    /// @notice Returns the digit with the largest of ten logits, the lowest digit if several are largest.
    /// @param logits The instances of a proof without those of its key.
    function digitOf(uint256[] calldata logits) external view returns (uint256 digit);

    /// @notice Adds the sender, the account, to the clan of the digit that the proof shows.
    function join(address account, bytes calldata proof, uint256[] calldata instances) external;

    /// @notice Adds the account to the clan of the digit that the proof shows, which it consented to.
    /// @dev Anyone may send the transaction. If two transactions carry the same proof, the first
    /// succeeds, and the account joins the same clan by either of them.
    function joinFor(address account, bytes calldata proof, uint256[] calldata instances, Consent calldata consent)
        external;

    /// @notice Adds every account of a batch to the clan of the digit that the proof shows for it.
    /// @dev Anyone may send the transaction. An account without a valid consent is skipped with an
    /// event, like the zero account and members, and the others join; the sender needs no consent.
    /// Reverts if the proof is invalid.
    /// @param instances The keys of the accounts, then their logits.
    /// @param consents The consent of each account; those of the sender and of skipped accounts are not read.
    function joinMany(bytes calldata proof, uint256[] calldata instances, ShortConsent[] calldata consents) external;

    /// @notice Makes every consent that the sender has signed useless.
    function revokeConsents() external;

    /// @notice Returns what an account signs to consent: EIP-712 typed data with its current nonce.
    function hashOfConsent(address account, uint256 digit, uint256 deadline) external view returns (bytes32);

    /// @notice Returns the nonce of an account's consents: how often it revoked them.
    function nonceOf(address account) external view returns (uint256);

    /// @notice Returns true if the account has joined a clan.
    function isMember(address account) external view returns (bool);

    /// @notice Returns the clan of a member.
    /// @dev Reverts if the account is not a member, because 0 is a clan.
    function clanOf(address account) external view returns (uint256);

    /// @notice Returns the number of members of a clan.
    function membersOf(uint256 clan) external view returns (uint256);

    /// @notice Returns the number of members of each clan.
    function counts() external view returns (uint256[10] memory);

    /// @notice Returns the leading clan and its number of members, or 0 and 0 if nobody has joined.
    function leader() external view returns (uint256 clan, uint256 members);
}
