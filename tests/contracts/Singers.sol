// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

interface IPayer {
    function withdraw() external;
}

/// A singer that does not accept money.
contract Refusing {
    function withdrawFrom(IPayer judge) external {
        judge.withdraw();
    }
}

/// A singer that withdraws again while it is paid.
contract Reentering {
    uint256 public payments;

    function withdrawFrom(IPayer judge) external {
        judge.withdraw();
    }

    receive() external payable {
        payments++;
        try IPayer(msg.sender).withdraw() {} catch {}
    }
}
