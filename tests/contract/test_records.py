"""Records through DynamoDB's attribute values and back."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from hypothesis import example, given
from hypothesis import strategies as st

from sd_async.contract.errors import ContractError
from sd_async.contract.jobs import JobError, JobType, Progress
from sd_async.contract.records import Record, context_text, from_item, to_attribute, to_item
from sd_async.contract.states import Status
from tests.contract.values import ERRORS, JSON, OBJECTS, PROGRESS, RECORDS, judged, nearly, nested

RECORD = Record(
    id="j",
    owner="o",
    runtime="r",
    type=JobType.WORKFLOW,
    status=Status.RUNNING,
    created_at_ms=1,
    updated_at_ms=2,
    expires_at_s=3,
    timeout_seconds=4,
    output_key="k",
    attempt=1,
    progress=Progress(value=0.1, nodes_done=1),
    error=JobError(code="c", message="m"),
)


def stored(item: dict[str, Any]) -> dict[str, Any]:
    """The item as DynamoDB gives it back."""
    serialize, deserialize = TypeSerializer().serialize, TypeDeserializer().deserialize
    return {name: deserialize(serialize(value)) for name, value in item.items()}


@given(RECORDS)
def test_a_record_survives_dynamodb(record: Record) -> None:
    assert from_item(stored(to_item(record))) == record


@given(RECORDS)
def test_an_item_holds_no_float_and_no_null(record: Record) -> None:
    def leaves(value: Any) -> list[Any]:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
        return [value] if inner is None else [leaf for item in inner for leaf in leaves(item)]

    item = to_item(record)
    assert not [leaf for leaf in leaves(item) if isinstance(leaf, float)]
    assert None not in item.values(), "an attribute of a sparse index must be absent"


@given(OBJECTS)
@example(node_errors={"seed": 2**64, "max": 1e308, "tiny": 1e-300, "": "an empty name"})
@example(node_errors={"deep": nested(200)})
@example(node_errors={"digits": int("9" * 300)})
def test_what_a_runtime_says_survives_whatever_it_holds(node_errors: dict[str, Any]) -> None:
    record = msgspec.structs.replace(RECORD, error=JobError(code="c", message="m", node_errors=node_errors))
    assert from_item(stored(to_item(record))) == record


@given(ERRORS | PROGRESS)
def test_an_attribute_written_alone_is_what_the_whole_item_holds(value: JobError | Progress) -> None:
    name = "error" if isinstance(value, JobError) else "progress"
    whole = to_item(msgspec.structs.replace(RECORD, **{name: value}))
    assert to_attribute(value) == whole.get(name, {})
    assert to_attribute(to_attribute(value)) == to_attribute(value), "who writes it may convert it once more"


@given(st.dictionaries(st.text(), JSON) | nearly(to_item(RECORD)))
@example(item={"created_at_ms": Decimal("NaN")})
@example(item=to_item(RECORD) | {"created_at_ms": Decimal("Infinity")})
@example(item=to_item(RECORD) | {"created_at_ms": Decimal("sNaN")})
@example(item=to_item(RECORD) | {"created_at_ms": Decimal("1e999999")})
@example(item=to_item(RECORD) | {"created_at_ms": 10**40})
@example(item=to_item(RECORD) | {"created_at_ms": -1})
@example(item=to_item(RECORD) | {"attempt": Decimal("1.5")})
@example(item=to_item(RECORD) | {"outputs": {"a", "b"}})
@example(item=to_item(RECORD) | {"error": {"code": "c", "message": "m", "node_errors": "{"}})
@example(item=to_item(RECORD) | {"waiting": object()})
def test_any_item_is_a_record_or_one_contract_error(item: dict[str, Any]) -> None:
    outcome = judged(lambda: from_item(item))
    assert isinstance(outcome, Record | ContractError)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"status": "lost"}, "status"),
        ({"created_at_ms": Decimal(10) ** 20}, "created_at_ms"),
        ({"outputs": [{"key": 1}]}, "outputs.0.key"),
        ({"error": {"code": "c", "message": "m", "node_errors": "["}}, "error.node_errors"),
    ],
)
def test_an_item_that_is_no_record_is_refused_by_its_attribute(change: dict[str, Any], field: str) -> None:
    with pytest.raises(ContractError) as refusal:
        from_item(to_item(RECORD) | change)
    assert refusal.value.field == field


def test_attributes_that_a_newer_version_adds_are_left_out() -> None:
    assert from_item(to_item(RECORD) | {"cost_usd": Decimal("0.01")}) == RECORD


@given(JSON)
def test_a_context_comes_back_untouched(context: Any) -> None:
    record = msgspec.structs.replace(RECORD, context_json=context_text(context))
    assert record.context == context


def test_no_context_takes_no_room() -> None:
    assert context_text(None) == ""
    assert "context_json" not in to_item(RECORD)
