"""Bounds of the agent, each with its source."""

from sd_async.contract.limits import SPARE_RECEIPTS

POLL_WAIT_S = 20  # SQS's longest long poll (ReceiveMessage, WaitTimeSeconds)
MAX_FILE_BYTES = 64 * 1024 * 1024  # a 16-bit 4K picture is about 50 MB; ComfyUI itself takes 100 MiB
# A whole message: the API takes 4 MiB of input, and our own fields around it are far below as much again.
MAX_MESSAGE_BYTES = 8 * 1024 * 1024
# A record ends at 400 KB (DynamoDB, "Item size"); what it holds beside its outputs stays below 32 KB.
MAX_OUTPUTS_BYTES = 256 * 1024
OUTPUT_FIELDS_BYTES = 120  # of one output, beside its name and key: attribute names, type, size, node

MAX_HIDDEN_S = 12 * 60 * 60  # SQS ends a message's visibility so long after its receipt, whatever was extended
_HOLD_MARGIN_S = 120  # between the end of a job and that of its message: recorded, announced, deleted, with retries

_BACKOFF_FIRST_S = 5
_BACKOFF_MAX_S = 300
_SHUTDOWN_MARGIN_S = 15  # interrupt, give the claim back, show the message: three calls, with botocore's retries


def backoff_s(receive_count: int) -> int:
    """Seconds until the next delivery: 5, 10, 20 ... 300. receive_count: from 1."""
    return int(min(_BACKOFF_FIRST_S * 2 ** min(receive_count - 1, 16), _BACKOFF_MAX_S))


def tries(attempt: int, receive_count: int) -> int:
    """Attempts that a job has had: its claims, until the queue is about to give its message up."""
    return max(attempt, receive_count - SPARE_RECEIPTS)


def hidden_s(visibility_s: int, held_s: float) -> int:
    """Seconds for which a message may be hidden from now on. held_s: since its receipt."""
    return max(min(visibility_s, int(MAX_HIDDEN_S - held_s)), 0)


def hold_s(held_s: float) -> float:
    """Seconds until a job has to end because its message can be hidden no longer."""
    return MAX_HIDDEN_S - _HOLD_MARGIN_S - held_s


def drain_s(grace_period_s: float) -> float:
    """Seconds a running job may go on after SIGTERM: the grace period less what giving it back takes."""
    return max(grace_period_s - _SHUTDOWN_MARGIN_S, grace_period_s / 2)
