// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IBoundProof} from "./IBoundProof.sol";

/// @title VoiceJudge
/// @notice Sing, prove the judge's score, earn the reward. It is tied to the account in the proof, so
/// copying the transaction out of the mempool earns nothing.
///
/// Judge: the model of this contract's verifier. It answers a recording with one number.
/// Score: that number between 0 and 1, in units of 1e-18; whatever lies outside counts as the nearer end.
/// Round: money of a sponsor, for every singer whose score reaches the threshold by the deadline.
/// Singer: whom a reward is for. The account is inside the proof; whoever sends it is of no importance.
/// Credit: what the contract owes an account. It stays until the account withdraws it.
///
/// @dev What a proof says: the model, given some numbers that the prover knows, answered with this
/// score, and whoever made the proof named this singer, this round, contract and chain.
/// What it does not say: that the numbers come from a voice, that the voice is the singer's, or that a
/// person has only one account. Numbers that score high can be computed from the public model. A
/// sponsor pays for such proofs, too, and for as many accounts as come, until the rewards are gone.
///
/// The contract holds at least the sum of all credits and of all rewards that are left. Money moves
/// from a round to a credit, and from a credit to its account, in no other way.
///
/// Assumptions: the verifier belongs to the intended circuit, and nobody knows the secret of the
/// structured reference string that it embeds. With a dev SRS, whoever made it can forge proofs.
interface IVoiceJudge is IBoundProof {
    /// @notice What a sponsor offers.
    /// @param sponsor Who paid, and may take back what was not won.
    /// @param deadline The last second in which a proof is accepted, in Unix time.
    /// @param threshold The lowest score that is rewarded, in units of 1e-18.
    /// @param reward What one singer earns, in wei.
    /// @param rewardsLeft How many rewards are still to be won.
    struct Round {
        address sponsor;
        uint64 deadline;
        uint256 threshold;
        uint256 reward;
        uint256 rewardsLeft;
    }

    /// @notice No such round has been opened; the first is 0.
    error VoiceJudge__NoSuchRound(uint256 round);
    /// @notice No score is that high: scores end at 1e18.
    error VoiceJudge__ThresholdTooHigh(uint256 threshold);
    /// @notice A round's deadline lies after the block that opens it.
    error VoiceJudge__DeadlinePassed(uint64 deadline, uint256 time);
    /// @notice The money must be for one or more whole rewards.
    error VoiceJudge__BrokenRewards(uint256 paid, uint256 reward);
    /// @notice The round ended before this block.
    error VoiceJudge__RoundOver(uint256 round, uint64 deadline);
    /// @notice All rewards of the round are won, or taken back.
    error VoiceJudge__NoRewardsLeft(uint256 round);
    /// @notice The singer has earned the round's reward already.
    error VoiceJudge__AlreadyRewarded(uint256 round, address singer);
    /// @notice The singer has not earned a reward in the round.
    error VoiceJudge__NotRewarded(uint256 round, address singer);
    /// @notice The score does not reach the round's threshold.
    error VoiceJudge__ScoreTooLow(uint256 score, uint256 threshold);
    /// @notice The zero address cannot sing.
    error VoiceJudge__ZeroSinger();
    /// @notice Only the sponsor takes back what was not won.
    error VoiceJudge__NotTheSponsor(uint256 round, address account);
    /// @notice The round goes on until its deadline.
    error VoiceJudge__RoundNotOver(uint256 round, uint64 deadline);
    /// @notice The account has no credit.
    error VoiceJudge__NoCredit(address account);
    /// @notice The account does not accept its money. Its credit stays.
    error VoiceJudge__PaymentRefused(address account, uint256 amount);

    /// @notice A sponsor paid for a round.
    event RoundOpened(
        uint256 indexed round,
        address indexed sponsor,
        uint256 threshold,
        uint256 reward,
        uint256 rewards,
        uint64 deadline
    );
    /// @notice A singer earned the round's reward, now its credit.
    event Rewarded(uint256 indexed round, address indexed singer, uint256 score, uint256 reward);
    /// @notice A sponsor took back what was not won, now its credit.
    event TakenBack(uint256 indexed round, address indexed sponsor, uint256 amount);
    /// @notice An account was paid its credit.
    event Withdrawn(address indexed account, uint256 amount);

    /// @notice Opens a round with the money that comes along, which has to be for whole rewards.
    function openRound(uint256 threshold, uint256 reward, uint64 deadline) external payable returns (uint256 round);

    /// @notice Credits the round's reward to `singer`, whose proof shows a score that is high enough.
    /// @dev Anybody may send it. Of two transactions with the same proof the first succeeds, and
    /// does for `singer` exactly what the second would have done. One reward a singer and round.
    function judge(uint256 round, address singer, bytes calldata proof, uint256[] calldata instances) external;

    /// @notice Pays the sender its whole credit.
    /// @dev A contract that does not accept money keeps its credit, and holds nobody else up.
    function withdraw() external;

    /// @notice After the deadline, turns what nobody won into credit of the round's sponsor, the sender.
    function takeBack(uint256 round) external;

    /// @notice The score that a valid proof of `singer` for `round` shows; reverts for all that `judge`
    /// refuses of a proof. A dry run for provers and relayers.
    function readScore(uint256 round, address singer, bytes calldata proof, uint256[] calldata instances)
        external
        view
        returns (uint256 score);

    /// @notice The score that an output of the circuit stands for, 0 to 1e18, rounded down.
    function scoreFrom(uint256 output) external view returns (uint256 score);

    /// @notice The key that a proof for `account` must carry on this chain, for this contract and round.
    function keyOf(address account, uint256 round) external view returns (uint256);

    /// @notice How many rounds have been opened. They are numbered from 0.
    function rounds() external view returns (uint256);

    /// @notice What the round offers.
    function roundOf(uint256 round) external view returns (Round memory);

    /// @notice How many rewards of the round are still to be won.
    function rewardsLeft(uint256 round) external view returns (uint256);

    /// @notice Whether the singer has earned the round's reward.
    function isRewarded(uint256 round, address singer) external view returns (bool);

    /// @notice The score with which a singer was rewarded. Reverts for anybody else, because 0 is a
    /// score, too.
    function scoreOf(uint256 round, address singer) external view returns (uint256);

    /// @notice What the contract owes an account, in wei.
    function creditOf(address account) external view returns (uint256);
}
