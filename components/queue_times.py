"""How long a runtime's queue hides a message and how long it keeps one, from the runtime's longest job.

A job's longest way through its queue: it waits for a GPU, then each attempt takes up to the longest job and the
settling after it, and one whose agent dies in silence also the visibility, after which another gets the message.
"""

from components.settings_runtimes import AgentSettings, RuntimeSettings

DAY_S = 24 * 60 * 60
# SQS, "Message quotas": the longest that a message is hidden, and the longest that it is kept
MAX_VISIBILITY_S = 12 * 60 * 60
MAX_RETENTION_S = 14 * DAY_S

# After its longest job an agent still stores the outputs, records the end and tells of it (DESIGN, "The cluster").
SETTLING_MARGIN_S = 120
MIN_BEATS = 3  # heartbeats in a lease: of two the first may be lost (agent/config.py asks for as many)

# A message of a standard queue grows no younger on its way into a dead-letter queue (SQS developer guide, "Dead-letter
# queues": it expires by its original enqueue timestamp). What it has been in the queue, it has less of in the other.
# Four days: who is called on a Friday evening has until Tuesday to put the function right that reads there.
DEAD_LETTER_RETENTION_S = MAX_RETENTION_S
DEAD_LETTER_DAYS = 4
# For a GPU, or for somebody who gets one: a week of holidays. Seven days leave room for the default's five attempts at
# the longest job there can be, 12 h each, before the four days begin.
WAITING_DAYS = 7


def visibility_s(agent: AgentSettings, runtime: RuntimeSettings) -> int:
    """Seconds for which a message is hidden, and the lease of its job, which the heartbeat renews together.

    The setting's lease, but no longer than the longest job with its settling: an agent that is silent for so long can't
    be at work on it. At least three heartbeats, as settings see to for the lease itself.
    """
    needed_s = runtime.job_timeout_s + SETTLING_MARGIN_S
    return max(MIN_BEATS * agent.heartbeat_s, min(agent.lease_s, needed_s))


def attempts_s(agent: AgentSettings, runtime: RuntimeSettings) -> int:
    """Seconds that all attempts of the longest job take when each agent dies at its very end."""
    once_s = runtime.job_timeout_s + SETTLING_MARGIN_S + visibility_s(agent, runtime)
    return agent.max_attempts * once_s


def retention_s(agent: AgentSettings, runtime: RuntimeSettings, *, record_days: int) -> int:
    """Seconds for which the runtime's queue keeps a message, from when it was sent.

    Waiting and all attempts, as far as they leave the dead-letter queue its days and end with the job's own record:
    a message that outlives it would begin the job anew. record_days: `storage.retention_days`, 1 or more.
    """
    wanted_s = WAITING_DAYS * DAY_S + attempts_s(agent, runtime)
    return min(wanted_s, DEAD_LETTER_RETENTION_S - DEAD_LETTER_DAYS * DAY_S, record_days * DAY_S)
