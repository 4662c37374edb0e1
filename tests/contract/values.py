"""Whatever may arrive: JSON of any shape, documents that are nearly right, and values of every type we send."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from hypothesis import strategies as st

from sd_async.contract.agents import AgentNote, AgentState
from sd_async.contract.errors import ContractError
from sd_async.contract.jobs import Form, JobError, JobType, Progress
from sd_async.contract.messages import JobMessage
from sd_async.contract.records import Phases, Record, StoredOutput
from sd_async.contract.results import ResultMessage
from sd_async.contract.states import Status
from sd_async.contract.times import MAX_S

TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
NUMBERS = st.integers() | st.integers(-(10**60), 10**60) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(TEXT, JSON, max_size=4)
MS = st.integers(0, MAX_S * 1000 + 999)
SECONDS = st.integers(0, MAX_S)
COUNTS = st.integers(0, 2**63 - 1)
FRACTIONS = st.floats(0, 1, allow_subnormal=False).filter(lambda value: value == 0 or value > 1e-100)

ERRORS = st.builds(
    JobError,
    code=TEXT,
    message=TEXT,
    node_id=st.none() | TEXT,
    class_type=st.none() | TEXT,
    node_errors=st.none() | OBJECTS,
)
PROGRESS = st.builds(
    Progress, value=FRACTIONS, nodes_done=COUNTS, current_node=st.none() | TEXT, step=COUNTS, message=TEXT
)
OUTPUTS = st.builds(
    StoredOutput,
    key=TEXT,
    name=TEXT,
    type=TEXT,
    content_type=TEXT,
    size_bytes=COUNTS,
    node_id=st.none() | TEXT,
)
NOTES = st.builds(AgentNote, state=st.sampled_from(AgentState), since_ms=MS, until_ms=MS)
RECORDS = st.builds(
    Record,
    id=TEXT,
    owner=TEXT,
    runtime=TEXT,
    type=st.sampled_from(JobType),
    status=st.sampled_from(Status),
    created_at_ms=MS,
    updated_at_ms=MS,
    expires_at_s=SECONDS,
    timeout_seconds=SECONDS,
    output_key=TEXT,
    form=st.sampled_from(Form),
    client_id=st.none() | TEXT,
    context_json=JSON.map(json.dumps) | st.just(""),
    outbox=st.none() | TEXT,
    attempt=COUNTS,
    agent=st.none() | TEXT,
    lease_until_ms=st.none() | MS,
    started_at_ms=st.none() | MS,
    completed_at_ms=st.none() | MS,
    progress=PROGRESS,
    phases=st.builds(Phases, fetch_ms=st.none() | COUNTS, store_ms=st.none() | COUNTS),
    outputs=st.lists(OUTPUTS, max_size=3),
    error=st.none() | ERRORS,
    trace=st.none() | TEXT,
    waiting=TEXT,
)
MESSAGES = st.builds(
    JobMessage,
    sd_async=st.just(1),
    id=TEXT,
    owner=TEXT,
    runtime=TEXT,
    type=st.sampled_from(JobType),
    created_at_ms=MS,
    timeout_seconds=SECONDS,
    output_key=TEXT,
    input=st.none() | OBJECTS,
    input_ref=st.none() | TEXT,
    files=st.dictionaries(TEXT, TEXT, max_size=3),
    context=JSON,
    webhook_url=st.none() | TEXT,
    form=st.sampled_from(Form),
    client_id=st.none() | TEXT,
    trace=st.none() | TEXT,
)
RESULTS = st.builds(
    ResultMessage,
    runtime=TEXT,
    id=TEXT,
    job_id=TEXT,
    result=st.booleans(),
    status=st.sampled_from(Status),
    image_url=st.lists(TEXT, max_size=3),
    output_url=TEXT,
    context=JSON,
    error=st.none() | ERRORS,
    attempts=COUNTS,
    created_at_ms=MS,
    completed_at_ms=MS,
    trace=st.none() | TEXT,
)


def nearly(document: Mapping[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """The document with some fields changed to anything, some left out and some added."""
    names = sorted(document)
    return st.builds(
        lambda changed, dropped, added: {
            **{name: value for name, value in document.items() if name not in dropped},
            **changed,
            **added,
        },
        st.dictionaries(st.sampled_from(names), JSON, max_size=2),
        st.sets(st.sampled_from(names), max_size=1),
        st.just({}) | st.dictionaries(TEXT, JSON, max_size=1),
    )


def judged(by: Callable[[], Any]) -> Any:
    """What `by` returns, or the ContractError that it ends in; anything else it raises is a bug."""
    try:
        return by()
    except ContractError as error:
        return error


def nested(levels: int) -> list[Any]:
    """An empty list inside so many others."""
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def plain(value: msgspec.Struct) -> dict[str, Any]:
    document = msgspec.to_builtins(value)
    assert isinstance(document, dict)
    return document
