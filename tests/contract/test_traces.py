"""A trace is read from both ways of writing it, and from nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sd_async.contract.adoption import first_record
from sd_async.contract.traces import MAX_TRACE_CHARS, Trace, parse_trace
from tests.agent.scenario import message_of

ID = "5759e988bd862e3fe1be46a994272793"
SPAN = "53995c3f42cd8ad8"
ROOT = f"Root=1-{ID[:8]}-{ID[8:]}"


@pytest.mark.parametrize(
    ("text", "trace"),
    [
        (f"00-{ID}-{SPAN}-01", Trace(ID, SPAN, is_sampled=True)),
        (f"00-{ID}-{SPAN}-00", Trace(ID, SPAN, is_sampled=False)),
        (f"01-{ID}-{SPAN}-03-what-comes-later", Trace(ID, SPAN, is_sampled=True)),
        (ROOT, Trace(ID, None, is_sampled=None)),
        (f"{ROOT};Parent={SPAN};Sampled=1", Trace(ID, SPAN, is_sampled=True)),
        (f"Self=1-67891234-12456789abcdef012345678; {ROOT}; Sampled=0", Trace(ID, None, is_sampled=False)),
        (f"{ROOT};Parent={SPAN};Sampled=?;Lineage=a:1", Trace(ID, SPAN, is_sampled=None)),
        (f"{ROOT};Parent=nonsense", Trace(ID, None, is_sampled=None)),
    ],
)
def test_a_trace_is_read_as_it_was_written(text: str, trace: Trace) -> None:
    """Sources: W3C Trace Context, "traceparent Header"; AWS X-Ray developer guide, "Tracing header"."""
    assert parse_trace(text) == trace


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "Root=1-2-3",
        f"ff-{ID}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{ID}-{'0' * 16}-01",
        f"00-{ID.upper()}-{SPAN}-01",
        f"00-{ID}-{SPAN}-01\n",
        f"Root=1-{'0' * 8}-{'0' * 24}",
        f"{ROOT};Parent={'a' * MAX_TRACE_CHARS}",
    ],
)
def test_what_is_no_trace_is_none(text: str | None) -> None:
    assert parse_trace(text) is None


@given(st.text())
def test_no_text_is_too_strange(text: str) -> None:
    assert parse_trace(text) is None or len(text) >= len(ROOT)


def test_a_record_takes_over_no_trace_that_is_none() -> None:
    assert first_record(message_of(trace=ROOT), now_ms=1, retention_days=1).trace == ROOT
    assert first_record(message_of(trace="x" * 10_000), now_ms=1, retention_days=1).trace is None
