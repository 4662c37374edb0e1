"""Bounds of the contract, each with its source."""

# SNS and, by default, SQS refuse a message whose body and attributes together pass 256 KiB
# (SNS developer guide, "Amazon SNS quotas"). 16 KiB stay free for attributes and for what SNS adds.
MAX_MESSAGE_BYTES = 240 * 1024

# A Lambda invocation carries at most 6 MB (Lambda quotas, synchronous payload) and a proxy event holds the
# body as JSON text, in which quotes and backslashes double: what passes 4 MiB may not arrive.
MAX_BODY_BYTES = 4 * 1024 * 1024

MAX_FILES = 32
MAX_URL_CHARS = 2048  # S3 presigned URLs with a session token are about 1,500 characters
MAX_CONTEXT_BYTES = 8 * 1024  # lives in the DynamoDB item, where every KiB is paid at every write
MAX_CONTEXT_DEPTH = 64  # far below Python's recursion limit: what was read once can be read and written anywhere
MAX_INPUT_DEPTH = 800  # what one process reads just below Python's limit of 1,000, a deeper stack could not read
MAX_PREFIX_BYTES = 512  # S3 keys end at 1,024 bytes; the other half is for job, attempt and file name
MAX_CLIENT_ID_CHARS = 128  # as bytes of UTF-8, since it is part of an S3 key
MAX_IDEMPOTENCY_KEY_CHARS = 255  # the length Stripe allows, which client libraries keep to

# Receipts of a message beyond its job's attempts: handed back unread by an agent that stops or whose job takes long,
# or received while another agent's lease had not ended.
SPARE_RECEIPTS = 5

# SQS: a message's visibility ends 12 h after it was received, whatever was extended (SQS developer guide).
MAX_TIMEOUT_S = 12 * 60 * 60 - 300
