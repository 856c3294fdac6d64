// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

interface IPayer {
    function withdraw() external;
}

/// An account that does not accept money.
contract Refusing {
    function withdrawFrom(IPayer judge) external {
        judge.withdraw();
    }
}

/// An account that calls `withdraw` again while it is paid.
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
