// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {BoundApplication} from "./base/BoundApplication.sol";
import {IVerifier} from "./interfaces/IVerifier.sol";
import {IVoiceJudge} from "./interfaces/IVoiceJudge.sol";
import {MerkleTree} from "./libraries/MerkleTree.sol";
import {Outputs} from "./libraries/Outputs.sol";

/// @title VoiceJudge
/// @notice Rounds of rewards that accounts earn by proofs of scores. See `IVoiceJudge`.
contract VoiceJudge is IVoiceJudge, BoundApplication {
    struct Singer {
        bool admitted;
        bool rewarded;
        uint64 score;
    }

    /* CONSTANTS */

    /// The model has one output.
    uint256 internal constant OUTPUTS = 1;
    /// The highest score: 1, in units of 1e-18.
    uint256 internal constant HIGHEST = 1e18;
    /// The singers of a round that admits every account.
    bytes32 internal constant ANYONE = 0;

    /* STORAGE */

    Round[] internal _rounds;
    mapping(uint256 round => mapping(address account => Singer singer)) internal _singers;
    mapping(address account => uint256 credit) internal _credits;

    /* CONSTRUCTOR */

    constructor(IVerifier verifier_, Layout memory layout) BoundApplication(verifier_, layout) {}

    /* OPENING A ROUND */

    /// @inheritdoc IVoiceJudge
    function openRound(uint256 threshold, uint256 reward, uint64 deadline, bytes32 singers)
        external
        payable
        returns (uint256 round)
    {
        if (threshold > HIGHEST) revert VoiceJudge__ThresholdTooHigh(threshold);
        if (deadline <= block.timestamp) revert VoiceJudge__DeadlinePassed(deadline, block.timestamp);
        if (reward == 0 || msg.value == 0 || msg.value % reward != 0) {
            revert VoiceJudge__BrokenRewards(msg.value, reward);
        }

        round = _rounds.length;
        uint256 rewards = msg.value / reward;

        _rounds.push(Round(msg.sender, deadline, threshold, reward, rewards, singers));

        emit RoundOpened(round, msg.sender, threshold, reward, rewards, deadline, singers);
    }

    /// @inheritdoc IVoiceJudge
    function admit(uint256 round, address account, bytes32[] calldata branch) external {
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(account))));
        if (MerkleTree.rootOf(leaf, branch) != _roundAt(round).singers) revert VoiceJudge__NotChosen(round, account);

        _singers[round][account].admitted = true;

        emit Admitted(round, account);
    }

    /* PROVING */

    /// @inheritdoc IVoiceJudge
    function keyOf(address account, uint256 round) external view returns (uint256) {
        return _keyOf(account, round);
    }

    /// @inheritdoc IVoiceJudge
    function readScore(uint256 round, address account, bytes calldata proof, uint256[] calldata instances)
        public
        view
        returns (uint256 score)
    {
        _requireValidProof(_keyOf(account, round), OUTPUTS, proof, instances);

        return scoreFrom(instances[limbs]);
    }

    /// @inheritdoc IVoiceJudge
    function scoreFrom(uint256 output) public view returns (uint256 score) {
        int256 value = Outputs.signed(0, output);
        uint256 one = 1 << outputScale;

        if (value <= 0) return 0;
        if (uint256(value) >= one) return HIGHEST;
        return uint256(value) * HIGHEST / one;
    }

    /* JUDGING */

    /// @inheritdoc IVoiceJudge
    function judge(uint256 round, address account, bytes calldata proof, uint256[] calldata instances) external {
        Round storage offer = _roundAt(round);
        Singer storage singer = _singers[round][account];
        bool rewarded = singer.rewarded;
        if (account == address(0) || account == address(this)) revert VoiceJudge__CannotWithdraw(account);
        if (block.timestamp > offer.deadline) revert VoiceJudge__RoundOver(round, offer.deadline);
        if (!isAdmitted(round, account)) revert VoiceJudge__NotAdmitted(round, account);
        if (!rewarded && offer.rewardsLeft == 0) revert VoiceJudge__NoRewardsLeft(round);

        // The proof, which is expensive to check, comes last: a copied transaction fails before.
        _requireCount(OUTPUTS, instances);
        uint256 score = scoreFrom(instances[limbs]);
        if (score < offer.threshold) revert VoiceJudge__ScoreTooLow(score, offer.threshold);
        if (rewarded && score <= singer.score) revert VoiceJudge__NotHigher(score, singer.score);
        _requireValidProof(_keyOf(account, round), OUTPUTS, proof, instances);

        // No score exceeds 1e18, which fits into 64 bits.
        singer.score = uint64(score);
        if (rewarded) {
            emit ScoreRaised(round, account, score);
            return;
        }

        uint256 reward = offer.reward;
        offer.rewardsLeft--;
        _credits[account] += reward;
        (singer.admitted, singer.rewarded) = (true, true);

        emit Rewarded(round, account, score, reward);
    }

    /* MONEY */

    /// @inheritdoc IVoiceJudge
    function withdraw() external {
        uint256 amount = _credits[msg.sender];
        if (amount == 0) revert VoiceJudge__NoCredit(msg.sender);

        _credits[msg.sender] = 0;

        emit Withdrawn(msg.sender, amount);

        // Re-entering is harmless, because the credit is already 0.
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

    /* VIEWS */

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
    function isAdmitted(uint256 round, address account) public view returns (bool) {
        return _roundAt(round).singers == ANYONE || _singers[round][account].admitted;
    }

    /// @inheritdoc IVoiceJudge
    function isRewarded(uint256 round, address account) external view returns (bool) {
        _roundAt(round);

        return _singers[round][account].rewarded;
    }

    /// @inheritdoc IVoiceJudge
    function scoreOf(uint256 round, address account) external view returns (uint256) {
        _roundAt(round);
        if (!_singers[round][account].rewarded) revert VoiceJudge__NotRewarded(round, account);

        return _singers[round][account].score;
    }

    /// @inheritdoc IVoiceJudge
    function creditOf(address account) external view returns (uint256) {
        return _credits[account];
    }

    /* INTERNAL FUNCTIONS */

    /// @dev Returns a round, or reverts if it does not exist.
    function _roundAt(uint256 round) internal view returns (Round storage) {
        if (round >= _rounds.length) revert VoiceJudge__NoSuchRound(round);

        return _rounds[round];
    }
}
