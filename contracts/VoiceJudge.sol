// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IVerifier} from "./interfaces/IVerifier.sol";
import {IVoiceJudge} from "./interfaces/IVoiceJudge.sol";
import {BoundProof} from "./libraries/BoundProof.sol";

/// @title VoiceJudge. All prose is in the interface.
contract VoiceJudge is IVoiceJudge {
    /// The model answers with one number.
    uint256 internal constant OUTPUTS = 1;
    /// The highest score, 1 in units of 1e-18.
    uint256 internal constant HIGHEST = 1e18;

    IVerifier public immutable verifier;
    uint256 public immutable limbs;
    uint256 public immutable limbBits;
    uint256 public immutable outputScale;

    struct Verdict {
        bool rewarded;
        uint64 score;
    }

    Round[] internal _rounds;
    mapping(uint256 round => mapping(address singer => Verdict)) internal _verdicts;
    mapping(address account => uint256) internal _credits;

    constructor(IVerifier verifier_, Layout memory layout) {
        BoundProof.requireUsable(verifier_, layout);

        verifier = verifier_;
        limbs = layout.limbs;
        limbBits = layout.limbBits;
        outputScale = layout.outputScale;
    }

    /// @inheritdoc IVoiceJudge
    function openRound(uint256 threshold, uint256 reward, uint64 deadline) external payable returns (uint256 round) {
        if (threshold > HIGHEST) revert VoiceJudge__ThresholdTooHigh(threshold);
        if (deadline <= block.timestamp) revert VoiceJudge__DeadlinePassed(deadline, block.timestamp);
        if (reward == 0 || msg.value == 0 || msg.value % reward != 0) {
            revert VoiceJudge__BrokenRewards(msg.value, reward);
        }

        round = _rounds.length;
        uint256 rewards = msg.value / reward;

        _rounds.push(Round(msg.sender, deadline, threshold, reward, rewards));
        emit RoundOpened(round, msg.sender, threshold, reward, rewards, deadline);
    }

    /// @inheritdoc IVoiceJudge
    function judge(uint256 round, address singer, bytes calldata proof, uint256[] calldata instances) external {
        Round storage offer = _roundAt(round);
        if (singer == address(0)) revert VoiceJudge__ZeroSinger();
        if (block.timestamp > offer.deadline) revert VoiceJudge__RoundOver(round, offer.deadline);
        if (_verdicts[round][singer].rewarded) revert VoiceJudge__AlreadyRewarded(round, singer);
        if (offer.rewardsLeft == 0) revert VoiceJudge__NoRewardsLeft(round);

        uint256 score = readScore(round, singer, proof, instances);
        if (score < offer.threshold) revert VoiceJudge__ScoreTooLow(score, offer.threshold);
        uint256 reward = offer.reward;

        offer.rewardsLeft--;
        _credits[singer] += reward;
        // No score is above 1e18, which 64 bits hold.
        _verdicts[round][singer] = Verdict({rewarded: true, score: uint64(score)});
        emit Rewarded(round, singer, score, reward);
    }

    /// @inheritdoc IVoiceJudge
    function withdraw() external {
        uint256 amount = _credits[msg.sender];
        if (amount == 0) revert VoiceJudge__NoCredit(msg.sender);

        _credits[msg.sender] = 0;
        emit Withdrawn(msg.sender, amount);

        // Whatever the account does in this call, its credit is gone already.
        (bool paid,) = msg.sender.call{value: amount}("");
        if (!paid) revert VoiceJudge__PaymentRefused(msg.sender, amount);
    }

    /// @inheritdoc IVoiceJudge
    function takeBack(uint256 round) external {
        Round storage offer = _roundAt(round);
        if (msg.sender != offer.sponsor) revert VoiceJudge__NotTheSponsor(round, msg.sender);
        if (block.timestamp <= offer.deadline) revert VoiceJudge__RoundNotOver(round, offer.deadline);
        if (offer.rewardsLeft == 0) revert VoiceJudge__NoRewardsLeft(round);

        uint256 amount = offer.rewardsLeft * offer.reward;

        offer.rewardsLeft = 0;
        _credits[msg.sender] += amount;
        emit TakenBack(round, msg.sender, amount);
    }

    /// @inheritdoc IVoiceJudge
    function readScore(uint256 round, address singer, bytes calldata proof, uint256[] calldata instances)
        public
        view
        returns (uint256 score)
    {
        Layout memory layout = Layout({limbs: limbs, limbBits: limbBits, outputScale: outputScale});
        BoundProof.requireValid(verifier, layout, OUTPUTS, keyOf(singer, round), proof, instances);
        return scoreFrom(instances[limbs]);
    }

    /// @inheritdoc IVoiceJudge
    function scoreFrom(uint256 output) public view returns (uint256 score) {
        int256 value = BoundProof.signed(0, output);
        uint256 one = 1 << outputScale;
        if (value <= 0) return 0;
        if (uint256(value) >= one) return HIGHEST;
        return uint256(value) * HIGHEST / one;
    }

    /// @inheritdoc IVoiceJudge
    function keyOf(address account, uint256 round) public view returns (uint256) {
        return BoundProof.keyOf(account, round);
    }

    /// @inheritdoc IVoiceJudge
    function rounds() external view returns (uint256) {
        return _rounds.length;
    }

    /// @inheritdoc IVoiceJudge
    function roundOf(uint256 round) external view returns (Round memory) {
        return _roundAt(round);
    }

    /// @inheritdoc IVoiceJudge
    function rewardsLeft(uint256 round) external view returns (uint256) {
        return _roundAt(round).rewardsLeft;
    }

    /// @inheritdoc IVoiceJudge
    function isRewarded(uint256 round, address singer) external view returns (bool) {
        _roundAt(round);
        return _verdicts[round][singer].rewarded;
    }

    /// @inheritdoc IVoiceJudge
    function scoreOf(uint256 round, address singer) external view returns (uint256) {
        _roundAt(round);
        if (!_verdicts[round][singer].rewarded) revert VoiceJudge__NotRewarded(round, singer);
        return _verdicts[round][singer].score;
    }

    /// @inheritdoc IVoiceJudge
    function creditOf(address account) external view returns (uint256) {
        return _credits[account];
    }

    function _roundAt(uint256 round) internal view returns (Round storage) {
        if (round >= _rounds.length) revert VoiceJudge__NoSuchRound(round);
        return _rounds[round];
    }
}
