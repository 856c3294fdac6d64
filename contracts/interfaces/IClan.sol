// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IBoundProof} from "./IBoundProof.sol";

/// @title Clan
/// @notice Draw a digit, prove what the model read, join that digit's clan. The largest clan leads.
///
/// Account: who joins. It is inside the proof; whoever sends the transaction is of no importance.
/// Clan: one of the ten digits. An account joins one clan, once, for good. Clan 0 is a clan.
/// Leader: the clan with the most members; between equals, the lowest digit.
///
/// @dev What a proof says: the model of this contract's verifier, given some numbers that the prover
/// knows, answered with these ten logits, and whoever made the proof named this account.
/// What it does not say: that anybody drew those numbers by hand, that they look like a digit, that
/// a person has only one account, or that the account agrees. Anybody can draw in the name of any
/// account, and so put it into a clan for good. A contract that pays for membership must not rest on
/// the account's consent.
///
/// Assumptions: the verifier belongs to the intended circuit, and nobody knows the secret of the
/// structured reference string that it embeds. With a dev SRS, whoever made it can forge proofs.
interface IClan is IBoundProof {
    /// @notice The account has joined a clan already.
    error Clan__AlreadyMember(address account, uint256 clan);
    /// @notice The account has not joined any clan.
    error Clan__NotAMember(address account);
    /// @notice There is no such clan; clans are the digits 0 to 9.
    error Clan__NoSuchClan(uint256 clan);
    /// @notice The clan has as many members as can be counted.
    error Clan__Full(uint256 clan);
    /// @notice The zero address cannot be a member.
    error Clan__ZeroAccount();

    /// @notice An account joined a clan.
    event Joined(address indexed account, uint256 indexed clan);
    /// @notice Another clan leads now, or the first member ever joined.
    event LeaderChanged(uint256 indexed clan, uint256 members);

    /// @notice Joins the clan of the digit that the model read, in the name of `account`.
    /// @dev Anybody may send it. Of two transactions with the same proof the first succeeds, and
    /// does for `account` exactly what the second would have done.
    function join(address account, bytes calldata proof, uint256[] calldata instances) external;

    /// @notice The digit that a valid proof of `account` shows; reverts for all that `join` refuses of
    /// a proof. A dry run for provers and relayers.
    function readDigit(address account, bytes calldata proof, uint256[] calldata instances)
        external
        view
        returns (uint256 digit);

    /// @notice The digit that ten logits show: the largest one's; between equals, the lowest digit.
    function digitOf(uint256[] calldata logits) external pure returns (uint256 digit);

    /// @notice The key that a proof for `account` must carry on this chain and for this contract.
    function keyOf(address account) external view returns (uint256);

    /// @notice Whether the account has joined a clan.
    function isMember(address account) external view returns (bool);

    /// @notice The clan of a member. Reverts for anybody else, because 0 is a clan, too.
    function clanOf(address account) external view returns (uint256);

    /// @notice How many members a clan has.
    function membersOf(uint256 clan) external view returns (uint256);

    /// @notice The number of members of each clan.
    function counts() external view returns (uint256[10] memory);

    /// @notice The leading clan and its number of members; clan 0 with 0 members before anybody joined.
    function leader() external view returns (uint256 clan, uint256 members);
}
