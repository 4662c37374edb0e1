"""The job table. Every change names the state and the attempt it leaves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from agent.aws import call, call_aside, error_code, error_item
from agent.errors import AwsRefusedError, LeaseLostError
from agent.ports import Claim, Claiming, Ending
from sd_async.contract.agents import AgentNote, agent_attribute, agents_in, agents_key, told_by
from sd_async.contract.jobs import Progress
from sd_async.contract.records import Record, from_item, to_attribute, to_item
from sd_async.contract.states import FINAL, Status

if TYPE_CHECKING:  # stubs only; the image does not carry them
    from mypy_boto3_dynamodb import DynamoDBClient

_HELD = "#attempt = :attempt AND #status IN (:running, :canceling)"


class DynamoStore:
    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    async def get(self, job_id: str) -> Record | None:
        answer = await call(
            self._client.get_item, TableName=self._table, Key=_marshalled({"id": job_id}), ConsistentRead=True
        )
        item = answer.get("Item")
        return _record(item) if item else None

    async def create(self, record: Record) -> bool:
        try:
            await call(
                self._client.put_item,
                TableName=self._table,
                Item=_marshalled(to_item(record)),
                ConditionExpression="attribute_not_exists(id)",
            )
        except AwsRefusedError as error:
            return _unless_condition_failed(error)
        return True

    async def claim(
        self, job_id: str, seen: Status, *, agent: str, message_id: str, now_ms: int, lease_until_ms: int
    ) -> Claiming:
        status = Status.CANCELING if seen is Status.CANCELING else Status.RUNNING
        change = _Change(
            sets={
                "status": status,
                "agent": agent,
                "message_id": message_id,
                "lease_until_ms": lease_until_ms,
                "started_at_ms": now_ms,
                "updated_at_ms": now_ms,
            },
            adds={"attempt": 1},
            removes=("waiting", "progress"),
            # Seen as it was, so that a cancellation in between is not overwritten.
            condition="#status = :seen AND (#status = :queued OR #lease_until_ms < :now)",
            values={"seen": seen, "queued": Status.QUEUED, "now": now_ms},
        )
        try:
            return Claiming(is_granted=True, record=await self._update(job_id, change))
        except AwsRefusedError as error:
            _unless_condition_failed(error)
            item = error_item(error)
            return Claiming(is_granted=False, record=_record(item) if item else None)

    async def beat(self, claim: Claim, *, now_ms: int, lease_until_ms: int, progress: Progress) -> Status:
        sets = {"lease_until_ms": lease_until_ms, "updated_at_ms": now_ms, "progress": to_attribute(progress)}
        return (await self._held(claim, _Change(sets=sets, condition=_HELD, values=_held_values(claim)))).status

    async def finish(self, claim: Claim, ending: Ending) -> Record:
        assert ending.status in FINAL
        sets: dict[str, Any] = {
            "status": ending.status,
            "completed_at_ms": ending.completed_at_ms,
            "updated_at_ms": ending.completed_at_ms,
            "phases": to_attribute(ending.phases),
            "progress": to_attribute(ending.progress),
            "outputs": [to_attribute(output) for output in ending.outputs],
        }
        if ending.error is not None:
            sets["error"] = to_attribute(ending.error)
        removes = ("agent", "lease_until_ms", "waiting")
        return await self._held(claim, _Change(sets=sets, removes=removes, condition=_HELD, values=_held_values(claim)))

    async def release(self, claim: Claim, *, now_ms: int, waiting: str) -> bool:
        change = _Change(
            sets={"status": Status.QUEUED, "waiting": waiting, "updated_at_ms": now_ms},
            removes=("agent", "lease_until_ms", "progress"),
            condition="#attempt = :attempt AND #status = :running",
            values={"attempt": claim.attempt, "running": Status.RUNNING},
        )
        try:
            await self._update(claim.job_id, change)
        except AwsRefusedError as error:
            _unless_condition_failed(error)
            item = error_item(error)
            record = _record(item) if item else None
            if record and record.attempt == claim.attempt and record.status is Status.CANCELING:
                return False
            raise _lost(claim) from error
        return True

    async def tell(
        self, runtime: str, agent: str, note: AgentNote, *, forget: Sequence[str] = ()
    ) -> Mapping[str, AgentNote]:
        told, gone = told_by(agent, note), [agent_attribute(name) for name in forget]
        expression = "SET " + ", ".join(f"#set{index} = :set{index}" for index in range(len(told)))
        if gone:
            expression += " REMOVE " + ", ".join(f"#gone{index}" for index in range(len(gone)))
        answer = await call_aside(
            self._client.update_item,
            TableName=self._table,
            Key=_marshalled({"id": agents_key(runtime)}),
            UpdateExpression=expression,
            ExpressionAttributeNames={f"#set{index}": name for index, name in enumerate(told)}
            | {f"#gone{index}": name for index, name in enumerate(gone)},
            ExpressionAttributeValues=_marshalled({f":set{index}": value for index, value in enumerate(told.values())}),
            ReturnValues="ALL_NEW",
        )
        return agents_in(_plain(answer["Attributes"]))

    async def leave(self, runtime: str, agent: str) -> None:
        try:
            await call_aside(
                self._client.update_item,
                TableName=self._table,
                Key=_marshalled({"id": agents_key(runtime)}),
                UpdateExpression="REMOVE #agent",
                ConditionExpression="attribute_exists(#agent)",  # an update makes what is not there, with no end
                ExpressionAttributeNames={"#agent": agent_attribute(agent)},
            )
        except AwsRefusedError as error:
            _unless_condition_failed(error)

    async def _held(self, claim: Claim, change: "_Change") -> Record:
        try:
            return await self._update(claim.job_id, change)
        except AwsRefusedError as error:
            _unless_condition_failed(error)
            raise _lost(claim) from error

    async def _update(self, job_id: str, change: "_Change") -> Record:
        answer = await call(
            self._client.update_item,
            TableName=self._table,
            Key=_marshalled({"id": job_id}),
            UpdateExpression=change.expression(),
            ConditionExpression=change.condition,
            ExpressionAttributeNames=change.names(),
            ExpressionAttributeValues=_marshalled({f":{name}": value for name, value in change.all_values().items()}),
            ReturnValues="ALL_NEW",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
        return _record(answer["Attributes"])


@dataclass(frozen=True, slots=True)
class _Change:
    """One conditional update. Every attribute is written `#name`, as `status` and others are DynamoDB's words."""

    sets: Mapping[str, Any]
    condition: str
    values: Mapping[str, Any]
    adds: Mapping[str, int] = field(default_factory=dict)
    removes: tuple[str, ...] = ()

    def expression(self) -> str:
        parts = ["SET " + ", ".join(f"#{name} = :set_{name}" for name in self.sets)]
        if self.adds:
            parts.append("ADD " + ", ".join(f"#{name} :add_{name}" for name in self.adds))
        if self.removes:
            parts.append("REMOVE " + ", ".join(f"#{name}" for name in self.removes))
        return " ".join(parts)

    def names(self) -> dict[str, str]:
        asked = {word[1:] for word in self.condition.replace("(", " ").split() if word.startswith("#")}
        return {f"#{name}": name for name in (*self.sets, *self.adds, *self.removes, *asked)}

    def all_values(self) -> dict[str, Any]:
        return (
            dict(self.values)
            | {f"set_{name}": value for name, value in self.sets.items()}
            | {f"add_{name}": value for name, value in self.adds.items()}
        )


def _held_values(claim: Claim) -> dict[str, Any]:
    return {"attempt": claim.attempt, "running": Status.RUNNING, "canceling": Status.CANCELING}


def _unless_condition_failed(error: AwsRefusedError) -> bool:
    if error_code(error) != "ConditionalCheckFailedException":
        raise error
    return False


def _lost(claim: Claim) -> LeaseLostError:
    return LeaseLostError(f"Attempt {claim.attempt} of job {claim.job_id} no longer holds the job.")


def _marshalled(values: Mapping[str, Any]) -> dict[str, Any]:
    serialize = TypeSerializer().serialize
    return {name: serialize(to_attribute(value)) for name, value in values.items()}


def _record(item: Mapping[str, Any]) -> Record:
    return from_item(_plain(item))


def _plain(item: Mapping[str, Any]) -> dict[str, Any]:
    deserialize = TypeDeserializer().deserialize
    return {name: deserialize(value) for name, value in item.items()}
