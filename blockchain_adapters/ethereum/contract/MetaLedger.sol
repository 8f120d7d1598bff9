// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title A log of batches, with the checkpoints that others sign for it.
/// @notice Keeps an append-only order of batches of entries. What a batch means is for its readers: the contract neither
///         parses nor judges one, so nothing that a submitter sends can stop it, and readers skip what is not well-formed.
/// @dev Bodies live in events. Storage holds what a writer compares and a reader checks against: how many batches there
///      are, a hash over all of them, and the checkpoint that was anchored last. There is no pause, no proxy, no payment,
///      no call to any other contract and no way to remove the code. No immutables: the runtime code is the same on every
///      chain, so its hash says that a contract is this one.
contract MetaLedger {
    /// @notice The largest batch in bytes: what fits into one transaction of the public pools (131,072 bytes).
    uint256 public constant MAX_BATCH = 126_976;
    /// @notice The largest note in bytes.
    uint256 public constant MAX_NOTE = 16_384;
    /// @notice As `expected`: append wherever the end is.
    uint64 public constant ANYWHERE = type(uint64).max;

    /// @dev Slot 0. Hash over every batch so far, see `_record`.
    bytes32 private head;
    /// @dev Slot 1. Root hash of the checkpoint that was anchored last.
    bytes32 private root;
    /// @dev Slot 2, low to high: batches so far; tree size of the checkpoint; block of deployment; anybody may append.
    uint64 private count;
    uint64 private size;
    uint64 private deployedAt;
    bool private open;
    /// @notice Slot 3. Who decides which accounts may append; zero in an open contract.
    address public owner;
    /// @notice Slot 4. Who may become the owner by accepting; zero when nobody was asked.
    address public pendingOwner;
    /// @notice Slot 5. Accounts that may append while the contract is not open.
    mapping(address account => bool allowed) public isSubmitter;

    /// @notice A batch was appended.
    /// @param number Place among the batches, from 0.
    /// @param submitter The account that called.
    /// @param head Hash over all batches up to and with this one.
    /// @param start Index of the batch's first entry in the mirrored log; 0 in a direct append.
    /// @param size Tree size that the note claims; 0 without a note.
    /// @param root Root hash that the note claims; 0 without a note.
    /// @param batch Encoded entries; may be empty beside a note.
    /// @param note Signed checkpoint of the mirrored log; empty in a direct append.
    event Appended(
        uint64 indexed number,
        address indexed submitter,
        bytes32 head,
        uint64 start,
        uint64 size,
        bytes32 root,
        bytes batch,
        bytes note
    );
    /// @notice An account may append from now on, or no more.
    event SubmitterChanged(address indexed account, bool allowed);
    /// @notice The owner asked `candidate` to take over; zero takes the question back.
    event OwnershipOffered(address indexed owner, address indexed candidate);
    /// @notice `owner` decides from now on.
    event OwnershipTaken(address indexed before, address indexed owner);

    /// @notice The end of the log is elsewhere: `count` batches, where the caller expected `expected`.
    error WrongCount(uint64 expected, uint64 count);
    /// @notice The account may not append.
    error NotSubmitter(address account);
    /// @notice The account is not the owner, or not the one that was asked.
    error NotOwner(address account);
    /// @notice `length` bytes, where `most` are taken.
    error TooLarge(uint256 length, uint256 most);
    /// @notice A direct append without a batch would record nothing.
    error Empty();

    /// @param anybody Whether every account may append, for ever. Such a contract has no owner and no list.
    /// @param submitters The first accounts that may append; ignored in an open contract. The deployer owns the list.
    constructor(bool anybody, address[] memory submitters) {
        head = keccak256(abi.encode(block.chainid, address(this)));
        deployedAt = uint64(block.number);
        open = anybody;
        if (anybody) return;
        owner = msg.sender;
        emit OwnershipTaken(address(0), msg.sender);
        for (uint256 i; i < submitters.length; ++i) {
            isSubmitter[submitters[i]] = true;
            emit SubmitterChanged(submitters[i], true);
        }
    }

    /// @notice Append a batch of entries.
    /// @param expected Number of batches that the caller knows, or `ANYWHERE`.
    /// @param batch Encoded entries, 1 to `MAX_BATCH` bytes.
    function append(uint64 expected, bytes calldata batch) external {
        if (batch.length == 0) revert Empty();
        _record(expected, 0, 0, 0, batch, batch[:0]);
    }

    /// @notice Append a batch and anchor the signed checkpoint that stands at its end; an empty batch anchors alone.
    /// @dev The contract cannot check the note's signatures. Readers trust the note, never `newSize` and `newRoot`.
    /// @param expected Number of batches that the caller knows, or `ANYWHERE`.
    /// @param start Index of the batch's first entry in the mirrored log.
    /// @param newSize Tree size of the checkpoint.
    /// @param newRoot Root hash of the checkpoint.
    /// @param batch Encoded entries, at most `MAX_BATCH` bytes.
    /// @param note The signed checkpoint, 1 to `MAX_NOTE` bytes.
    function anchor(
        uint64 expected,
        uint64 start,
        uint64 newSize,
        bytes32 newRoot,
        bytes calldata batch,
        bytes calldata note
    ) external {
        if (note.length == 0) revert Empty();
        if (note.length > MAX_NOTE) revert TooLarge(note.length, MAX_NOTE);
        size = newSize;
        root = newRoot;
        _record(expected, start, newSize, newRoot, batch, note);
    }

    /// @notice Let an account append, or let it no more.
    function setSubmitter(address account, bool allowed) external {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        isSubmitter[account] = allowed;
        emit SubmitterChanged(account, allowed);
    }

    /// @notice Ask `candidate` to become the owner; zero takes the question back. Nothing changes until it accepts.
    function offerOwnership(address candidate) external {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        pendingOwner = candidate;
        emit OwnershipOffered(msg.sender, candidate);
    }

    /// @notice Become the owner, when asked.
    function acceptOwnership() external {
        if (msg.sender != pendingOwner) revert NotOwner(msg.sender);
        emit OwnershipTaken(owner, msg.sender);
        owner = msg.sender;
        pendingOwner = address(0);
    }

    /// @notice Everything that a writer or a reader asks for, in one call.
    /// @return batches Number of batches so far.
    /// @return headHash Hash over all of them.
    /// @return anchoredSize Tree size of the checkpoint anchored last; 0 when there is none.
    /// @return anchoredRoot Root hash of that checkpoint.
    /// @return deploymentBlock Where reading starts.
    /// @return anybody Whether every account may append.
    function status()
        external
        view
        returns (
            uint64 batches,
            bytes32 headHash,
            uint64 anchoredSize,
            bytes32 anchoredRoot,
            uint64 deploymentBlock,
            bool anybody
        )
    {
        return (count, head, size, root, deployedAt, open);
    }

    /// @dev Checks the caller, the size and the place, and moves head and count. Reverting undoes what the caller set.
    ///      head' = keccak256(abi.encode(head, number, submitter, start, size, root, keccak256(batch), keccak256(note))).
    function _record(
        uint64 expected,
        uint64 start,
        uint64 newSize,
        bytes32 newRoot,
        bytes calldata batch,
        bytes calldata note
    ) private {
        uint64 number = count;
        if (!open && !isSubmitter[msg.sender]) revert NotSubmitter(msg.sender);
        if (expected != ANYWHERE && expected != number) revert WrongCount(expected, number);
        if (batch.length > MAX_BATCH) revert TooLarge(batch.length, MAX_BATCH);
        bytes32 next = keccak256(
            abi.encode(head, number, msg.sender, start, newSize, newRoot, keccak256(batch), keccak256(note))
        );
        head = next;
        count = number + 1;
        emit Appended(number, msg.sender, next, start, newSize, newRoot, batch, note);
    }
}
