// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {AttestedApplication} from "../../contracts/base/AttestedApplication.sol";
import {IVerifier} from "../../contracts/interfaces/IVerifier.sol";

/// Shows what the base of attested applications reads in a proof.
contract Attested is AttestedApplication {
    constructor(IVerifier verifier_, Layout memory layout, address issuer_)
        AttestedApplication(verifier_, layout, issuer_)
    {}

    function keyOf(address account) public view returns (uint256) {
        return _keyOf(account, 0);
    }

    function read(address account, bytes calldata proof, uint256[] calldata instances)
        external
        view
        returns (int256[] memory)
    {
        _requireAttested(account, instances);
        return _outputsOf(keyOf(account), 3, proof, instances);
    }
}
