// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

interface IVerifier {
    function verifyProof(bytes calldata proof, uint256[2] calldata instances) external view returns (bool);
}

interface IToken {
    function transfer(address to, uint256 amount) external returns (bool);
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
}

/// @title Pays tokens by low-level calls, in the style of common libraries
library Payments {
    error Failed();

    function pay(IToken token, address to, uint256 amount) internal {
        _call(token, abi.encodeCall(token.transfer, (to, amount)));
    }

    function collect(IToken token, uint256 amount) internal {
        _call(token, abi.encodeWithSelector(token.transferFrom.selector, msg.sender, address(this), amount));
    }

    function _call(IToken token, bytes memory data) private {
        (bool success, bytes memory answer) = address(token).call(data);
        if (!success || (answer.length > 0 && !abi.decode(answer, (bool)))) revert Failed();
    }
}

/// @title Pays a token to each proved account, for a deposit of the caller's
contract Tokens {
    using Payments for IToken;

    IVerifier public immutable verifier;
    IToken public immutable token;
    mapping(address account => bool) public paid;

    constructor(IVerifier verifier_, IToken token_) {
        verifier = verifier_;
        token = token_;
    }

    function claim(address account, uint256 amount, uint256 deposit, bytes calldata proof) external {
        require(!paid[account]);
        require(verifier.verifyProof(proof, [uint256(uint160(account)), amount]));
        paid[account] = true;
        token.collect(deposit);
        token.pay(account, amount);
    }
}
