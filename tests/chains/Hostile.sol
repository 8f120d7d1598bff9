// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice A submitter with bad intentions: many appends in one transaction, its own code whenever somebody calls it, the ledger's code
///         in its own storage.
contract Hostile {
    uint256 public calls;

    function flood(address ledger, bytes[] calldata batches) external {
        for (uint256 i; i < batches.length; ++i) {
            (bool done, ) = ledger.call(abi.encodeWithSignature("append(uint64,bytes)", type(uint64).max, batches[i]));
            require(done);
        }
    }

    function swallow(address ledger, bytes calldata batch) external {
        (bool done, ) = ledger.call(abi.encodeWithSignature("append(uint64,bytes)", uint64(7), batch));
        require(!done);
    }

    function borrow(address ledger, bytes calldata batch) external {
        (bool done, ) = ledger.delegatecall(abi.encodeWithSignature("append(uint64,bytes)", type(uint64).max, batch));
        done;
    }

    fallback() external payable {
        ++calls;
        (bool done, ) = msg.sender.call(abi.encodeWithSignature("append(uint64,bytes)", type(uint64).max, hex"00"));
        done;
    }

    receive() external payable {}
}
