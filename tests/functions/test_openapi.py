"""Routes, their functions and their description agree."""

import json
import subprocess
import sys
from typing import Any

import msgspec
import pytest

from functions.api import openapi
from functions.api.routes import ROUTES, route_for
from functions.api.service import Service
from sd_async.contract import forms
from tests.functions.entry import STATUS_OF


def test_the_written_description_is_what_the_routes_and_the_contract_say() -> None:
    assert openapi.PLACE.read_text(encoding="utf-8") == openapi.text(), "run `python -m functions.api.openapi`"


def test_every_route_has_its_function_and_its_description() -> None:
    functions = [route.function for route in ROUTES]

    assert [name for name in functions if not callable(getattr(Service, name, None))] == []
    assert set(functions) == set(openapi.OPERATIONS)
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)


def test_every_status_that_the_api_answers_is_described() -> None:
    operations = [operation for path in openapi.document()["paths"].values() for operation in path.values()]
    described = {int(status) for operation in operations for status in operation["responses"]}

    assert set(STATUS_OF.values()) <= described


def test_every_reference_leads_to_a_schema() -> None:
    text = openapi.text()
    schemas = json.loads(text)["components"]["schemas"]

    named = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert named <= set(schemas)


@pytest.mark.parametrize(
    ("schema", "struct"),
    [
        (openapi._V1ALPHA2["properties"]["task"]["properties"]["metadata"], forms._Metadata),
        (openapi._V1ALPHA1["properties"]["alwayson_scripts"], forms._QueueScript),
    ],
)
def test_the_alpha_forms_are_described_with_the_fields_that_are_read(
    schema: dict[str, Any], struct: type[msgspec.Struct]
) -> None:
    fields = msgspec.structs.fields(struct)

    assert set(schema["properties"]) == {field.name for field in fields}
    assert set(schema["required"]) == {field.name for field in fields if field.required}


def test_a_slash_at_the_end_is_the_same_route() -> None:
    assert route_for("POST", "/v1alpha2/") == route_for("POST", "/v1alpha2")
    assert route_for("GET", "/v1alpha2") is None


def test_the_routes_load_the_standard_library_only() -> None:
    code = "import sys; import functions.api.routes; print({'boto3', 'msgspec', 'sd_async'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout == "set()\n"
