// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {IBoundApplication} from "./IBoundApplication.sol";

/// @title VoiceJudge
/// @notice Sing, prove the judge's score, earn the reward. The proof contains the account, and copying
/// the transaction from the mempool earns nothing.
///
/// Judge: the model of the verifier's circuit. It rates a recording with one number.
/// Score: that number, limited to the range from 0 to 1, in units of 1e-18.
/// Round: a sponsor's money for accounts whose scores reach a threshold by a deadline.
/// Singers: the accounts that a sponsor chose for a round. Without a choice, every account may win.
/// Account: the address that earns a reward. The proof contains it, and anyone may send the transaction.
/// Credit: the money that the contract owes an account until the account withdraws it.
///
/// @dev A valid proof shows that the model rated an input known to the prover with this score, and that
/// the prover chose this account, round, contract and chain.
/// It does not show that the input comes from a voice, that the voice belongs to the account's holder,
/// or that a person has only one account. Anyone can compute high-scoring inputs from the public model.
/// A sponsor pays for such proofs, too, until no reward is left: for any number of accounts, unless the
/// round is for chosen singers only.
///
/// The contract always holds at least the sum of all credits and of all rewards left. Money moves only
/// from a round to a credit, and from a credit to its account.
///
/// Assumptions: the verifier belongs to the intended circuit, and nobody knows the secret of its SRS.
/// The maker of a dev SRS can forge proofs.
interface IVoiceJudge is IBoundApplication {
    /// @notice A sponsor's offer.
    /// @param sponsor The account that paid, and may take back the rewards left after the deadline.
    /// @param deadline The last second in which proofs are accepted, in Unix time.
    /// @param threshold The lowest score that earns a reward, in units of 1e-18.
    /// @param reward The reward of one account, in wei.
    /// @param rewardsLeft The number of rewards not yet earned or taken back.
    /// @param singers The root of a Merkle tree of the accounts that may win, or 0 if every account may.
    struct Round {
        address sponsor;
        uint64 deadline;
        uint256 threshold;
        uint256 reward;
        uint256 rewardsLeft;
        bytes32 singers;
    }

    /// @notice The round does not exist. Rounds are numbered from 0.
    error VoiceJudge__NoSuchRound(uint256 round);
    /// @notice The threshold exceeds the highest score, 1e18.
    error VoiceJudge__ThresholdTooHigh(uint256 threshold);
    /// @notice The deadline is not later than the block that opens the round.
    error VoiceJudge__DeadlinePassed(uint64 deadline, uint256 time);
    /// @notice The payment must cover one or more whole rewards, and a reward must not be 0.
    error VoiceJudge__BrokenRewards(uint256 paid, uint256 reward);
    /// @notice The deadline of the round has passed.
    error VoiceJudge__RoundOver(uint256 round, uint64 deadline);
    /// @notice All rewards of the round were earned or taken back.
    error VoiceJudge__NoRewardsLeft(uint256 round);
    /// @notice The account has earned the reward of the round with this score or a higher one.
    error VoiceJudge__NotHigher(uint256 score, uint256 recorded);
    /// @notice The account has not earned a reward in the round.
    error VoiceJudge__NotRewarded(uint256 round, address account);
    /// @notice The branch does not show that the sponsor chose the account.
    error VoiceJudge__NotChosen(uint256 round, address account);
    /// @notice The round is for chosen singers, and the account was not admitted as one of them.
    error VoiceJudge__NotAdmitted(uint256 round, address account);
    /// @notice The score is below the threshold of the round.
    error VoiceJudge__ScoreTooLow(uint256 score, uint256 threshold);
    /// @notice The zero address and this contract could never withdraw a reward.
    error VoiceJudge__CannotWithdraw(address account);
    /// @notice Only the sponsor of the round can take back the rewards left.
    error VoiceJudge__NotTheSponsor(uint256 round, address account);
    /// @notice The deadline of the round has not passed.
    error VoiceJudge__RoundNotOver(uint256 round, uint64 deadline);
    /// @notice The account has no credit.
    error VoiceJudge__NoCredit(address account);
    /// @notice The account does not accept the payment, and keeps its credit.
    error VoiceJudge__PaymentRefused(address account, uint256 amount);

    /// @notice A sponsor paid for a round.
    event RoundOpened(
        uint256 indexed round,
        address indexed sponsor,
        uint256 threshold,
        uint256 reward,
        uint256 rewards,
        uint64 deadline,
        bytes32 singers
    );
    /// @notice An account was shown to be one of the chosen singers of a round.
    event Admitted(uint256 indexed round, address indexed account);
    /// @notice An account earned the reward of a round, which was added to its credit.
    event Rewarded(uint256 indexed round, address indexed account, uint256 score, uint256 reward);
    /// @notice An account that was rewarded showed a higher score, which is recorded instead.
    event ScoreRaised(uint256 indexed round, address indexed account, uint256 score);
    /// @notice A sponsor took back the rewards left, which were added to its credit.
    event TakenBack(uint256 indexed round, address indexed sponsor, uint256 amount);
    /// @notice An account was paid its credit.
    event Withdrawn(address indexed account, uint256 amount);

    /// @notice Opens a round and pays for its rewards with the value of the transaction.
    /// @dev The value must be a multiple of the reward.
    /// @param singers The root of a tree made by OpenZeppelin's `StandardMerkleTree` of type `["address"]`,
    /// or 0 to let every account win.
    function openRound(uint256 threshold, uint256 reward, uint64 deadline, bytes32 singers)
        external
        payable
        returns (uint256 round);

    /// @notice Admits a chosen singer to a round. Anyone may send the transaction.
    /// @param branch The account's proof in the tree of the singers.
    function admit(uint256 round, address account, bytes32[] calldata branch) external;

    /// @notice Returns the key that a proof for the account in the round must carry.
    /// @dev The key also depends on the chain and on this contract.
    function keyOf(address account, uint256 round) external view returns (uint256);

    /// @notice Returns the score that a valid proof for the account in the round shows.
    /// @dev Use it to check a proof before sending it. Reverts if `judge` would refuse the proof as invalid
    /// or as bound to another account or round. Does not compare the score with the threshold.
    function readScore(uint256 round, address account, bytes calldata proof, uint256[] calldata instances)
        external
        view
        returns (uint256 score);

    /// @notice Returns the score that an output of the circuit encodes, 0 to 1e18, rounded down.
    function scoreFrom(uint256 output) external view returns (uint256 score);

    /// @notice Credits the reward of the round to the account if the proof shows a sufficient score.
    /// @dev Anyone may send the transaction. An account earns one reward per round. If two transactions
    /// carry the same proof, the first succeeds, and the account earns the same by either of them.
    /// Until the deadline, a proof of a higher score raises the recorded one: nobody can fix a low score
    /// for an account by sending a worse proof first.
    function judge(uint256 round, address account, bytes calldata proof, uint256[] calldata instances) external;

    /// @notice Pays the sender its whole credit.
    /// @dev A contract that refuses the payment keeps its credit, and blocks no other account.
    function withdraw() external;

    /// @notice Adds the rewards left of a round that is over to the credit of its sponsor, the sender.
    function takeBack(uint256 round) external;

    /// @notice Returns the number of rounds.
    function rounds() external view returns (uint256);

    /// @notice Returns a round.
    function roundOf(uint256 round) external view returns (Round memory);

    /// @notice Returns the number of rewards left in a round.
    function rewardsLeft(uint256 round) external view returns (uint256);

    /// @notice Returns true if the round admits every account, or this one was admitted.
    function isAdmitted(uint256 round, address account) external view returns (bool);

    /// @notice Returns true if the account has earned the reward of the round.
    function isRewarded(uint256 round, address account) external view returns (bool);

    /// @notice Returns the highest score that the account has shown in the round.
    /// @dev Reverts if the account earned none, because 0 is a score.
    function scoreOf(uint256 round, address account) external view returns (uint256);

    /// @notice Returns the credit of an account, in wei.
    function creditOf(address account) external view returns (uint256);
}
