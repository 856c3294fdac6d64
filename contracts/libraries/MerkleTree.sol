// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

/// @title MerkleTree
/// @notice Trees whose nodes are the hashes of their children in ascending order.
library MerkleTree {
    /// @dev Returns the root that a leaf and its siblings, from the bottom to the top, lead to.
    function rootOf(bytes32 leaf, bytes32[] calldata branch) internal pure returns (bytes32 node) {
        node = leaf;
        for (uint256 height = 0; height < branch.length; height++) {
            bytes32 sibling = branch[height];
            (bytes32 left, bytes32 right) = node < sibling ? (node, sibling) : (sibling, node);
            node = keccak256(bytes.concat(left, right));
        }
    }
}
