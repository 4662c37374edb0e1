"""When a person is called, as rows: what is watched, when it is wrong, and where the runbook says what to do then.

Metrics are those that AWS publishes by itself, so that an alarm holds also while none of our code runs. Two kinds of
our own come on top: those of the agents' closing lines, where they are written, and what the machines cost, which AWS
tells nowhere in time; while the function that prices them fails, `function-errors` says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from components import naming
from components.settings import Settings

RUNBOOK = "docs/runbook.md"
SPEND = "spend"  # section of the runbook about what the machines and the month cost; the function that prices machines
FUNCTIONS = ("api", "outbox", "dead-letter")
TOPICS = ("jobs", "results")
OWN = "sd-async/agent"  # namespace of what the agents write (agent/telemetry/emf.py)
# Namespace, dimension and metrics of what the function `spend` writes (functions/spend.py).
STACK, STACK_DIMENSION, STACK_METRICS = "sd-async/stack", "Stack", ("HourlySpend", "Machines", "Gpus")


class Metric(NamedTuple):
    """One metric of AWS. id: its name in the row's expression. dimension, value: which queue, function or API."""

    id: str
    namespace: str
    name: str
    statistic: str
    dimension: str
    value: str


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """Raised when the expression is at or above the threshold for all of the periods.

    section: of the runbook. subject: what the alarm is about, which makes its name unique.
    beside: metrics that the graph shows at its right, for who looks why; nothing is compared with them.
    Silence is no alarm: SQS and Lambda publish nothing while nothing happens.
    """

    section: str
    subject: str
    metrics: tuple[Metric, ...]
    expression: str
    meaning: str
    threshold: int = 1
    period_s: int = 300
    periods: int = 1
    beside: tuple[Metric, ...] = ()

    @property
    def key(self) -> str:
        return f"{self.section}-{self.subject}"

    @property
    def description(self) -> str:
        return f"{self.meaning} What to do: {RUNBOOK}#{self.section}"


class Notice(NamedTuple):
    """A mail about the month's budget. percent: of it. kind: what is compared, spent so far or expected at its end."""

    percent: int
    kind: str


NOTICES = (Notice(80, "ACTUAL"), Notice(100, "ACTUAL"), Notice(100, "FORECASTED"))


def alarms(settings: Settings) -> tuple[Alarm, ...]:
    """Every alarm of a stack; periods are as long as a person would wait before looking, as a short one cries wolf."""
    watch = settings.observability
    api = naming.prefixed(settings, "api")
    answers = Metric("faults", "AWS/ApiGateway", "5XXError", "Sum", "ApiName", api)
    return (
        *(each for runtime in settings.runtimes for each in _of_runtime(settings, runtime.name)),
        *(_jobs_fail(settings, runtime.name) for runtime in settings.runtimes if settings.agent.writes_emf),
        Alarm(
            section="api-faults",
            subject="api",
            metrics=(answers,),
            expression="faults",
            meaning=f"The API answered {watch.api_faults} or more requests in 5 minutes with a fault of its own (5xx).",
            threshold=watch.api_faults,
        ),
        *(each for function in functions(settings) for each in _of_function(settings, function)),
        *([_machines(settings)] if SPEND in functions(settings) else []),
        *(_undelivered(settings, topic) for topic in TOPICS),
    )


def sections(settings: Settings) -> set[str]:
    """Sections that the runbook must have."""
    return {alarm.section for alarm in alarms(settings)} | {SPEND}


def functions(settings: Settings) -> tuple[str, ...]:
    """The stack's Lambda functions; machines of a cluster that is not its own carry no tag by which to find them."""
    return (*FUNCTIONS, SPEND) if settings.has_new_cluster else FUNCTIONS


def dimensions(metric: Metric) -> Mapping[str, str]:
    return {metric.dimension: metric.value}


def _of_runtime(settings: Settings, runtime: str) -> tuple[Alarm, ...]:
    oldest_s = settings.observability.oldest_job_s
    queue, dead = naming.queue(settings, runtime), naming.dead_letter_queue(settings, runtime)

    def of_queue(label: str, name: str, value: str = queue) -> Metric:
        return Metric(label, "AWS/SQS", name, "Maximum", "QueueName", value)

    return (
        Alarm(
            section="oldest-job",
            subject=runtime,
            metrics=(of_queue("age", "ApproximateAgeOfOldestMessage"),),
            expression="age",
            meaning=f"A job for {runtime} has waited for {oldest_s} s or more.",
            threshold=oldest_s,
        ),
        Alarm(
            section="nobody-works",
            subject=runtime,
            metrics=(
                of_queue("waiting", "ApproximateNumberOfMessagesVisible"),
                of_queue("running", "ApproximateNumberOfMessagesNotVisible"),
            ),
            expression="IF(waiting > 0 AND running < 1, 1, 0)",
            meaning=f"Jobs wait for {runtime} and no agent works on any.",
            periods=4,  # a new GPU node with its image and model takes up to ten minutes
        ),
        Alarm(
            section="dead-letters",
            subject=runtime,
            metrics=(
                of_queue("kept", "ApproximateNumberOfMessagesVisible", dead),
                # the function empties the queue within seconds, and SQS counts what it moves there as sent nowhere
                Metric("taken", "AWS/SQS", "NumberOfMessagesReceived", "Sum", "QueueName", dead),
            ),
            expression="FILL(kept, 0) + FILL(taken, 0)",
            meaning=f"Jobs for {runtime} were given up after all their attempts.",
            period_s=60,
        ),
    )


def _jobs_fail(settings: Settings, runtime: str) -> Alarm:
    """A job that fails has ended, so that no queue shows it."""
    queue = naming.queue(settings, runtime)
    return Alarm(
        section="jobs-fail",
        subject=runtime,
        metrics=(
            Metric("closed", OWN, "Jobs", "Sum", "QueueName", queue),
            Metric("failed", OWN, "Failed", "Sum", "QueueName", queue),
        ),
        # a few bad requests are their senders' affair
        expression="IF(closed >= 5 AND failed * 2 >= closed, 1, 0)",
        meaning=f"Five or more jobs for {runtime} ended within 5 minutes, and half or more of them failed.",
    )


def _of_function(settings: Settings, function: str) -> tuple[Alarm, ...]:
    name = naming.prefixed(settings, function)

    def counted(label: str, metric: str) -> tuple[Metric, ...]:
        return (Metric(label, "AWS/Lambda", metric, "Sum", "FunctionName", name),)

    return (
        Alarm(
            section="function-errors",
            subject=function,
            metrics=counted("errors", "Errors"),
            expression="errors",
            meaning=f"The function {name} failed instead of answering, twice in a row.",
            periods=2,
        ),
        Alarm(
            section="function-throttles",
            subject=function,
            metrics=counted("throttles", "Throttles"),
            expression="throttles",
            meaning=f"AWS refused to start {name}: the account's concurrency is used up.",
        ),
    )


def _undelivered(settings: Settings, topic: str) -> Alarm:
    name = naming.topic(settings, topic)
    return Alarm(
        section="undelivered",
        subject=topic,
        metrics=(Metric("lost", "AWS/SNS", "NumberOfNotificationsFailed", "Sum", "TopicName", name),),
        expression="lost",
        meaning=f"The topic {name} could not hand a message to one that is subscribed to it.",
    )


def _machines(settings: Settings) -> Alarm:
    stack, bound = naming.prefixed(settings), settings.observability.spend_usd_per_hour
    cost, *beside = (Metric(name.lower(), STACK, name, "Average", STACK_DIMENSION, stack) for name in STACK_METRICS)
    return Alarm(
        section=SPEND,
        subject="machines",
        metrics=(cost,),
        expression=cost.id,
        meaning=f"For 45 minutes the machines of {stack} have cost {bound} US dollars an hour or more.",
        threshold=bound,
        # told within the hour. A quarter of one has two runs of the function at least, so that one which came late or
        # failed leaves no gap; three of them outlast nodes that replace others
        period_s=900,
        periods=3,
        beside=tuple(beside),
    )
