"""The machine's description of the API, made from the routes and the contract: `python -m functions.api.openapi`.

No function imports it; a test compares `docs/openapi.json` with it.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from functions.api.routes import ROUTES, Route
from sd_async.contract.forms import V1Alpha1Answer, V1Alpha2Answer
from sd_async.contract.jobs import ErrorBody, Job, JobRequest

PLACE = Path(__file__).parents[2] / "docs" / "openapi.json"

_ERRORS = {
    400: "The body is no JSON object of the form that this route takes; `field` leads to the place.",
    403: "The API key is missing or unknown.",
    404: "There is no such job, or it is not yours.",
    409: "The `Idempotency-Key` was used with another body.",
    413: "The body or its `context` is too large.",
    415: "The body is sent as something else than `application/json`.",
    422: "The body is of the right form and asks for what is not offered.",
    429: "Too many requests for this key.",
    500: "Our fault; the `request_id` leads to it.",
    503: "A service behind the API is busy; `Retry-After` says when to ask again.",
}
_SUBMIT_ERRORS = (400, 403, 409, 413, 415, 422, 429, 500, 503)
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A repeat with the same key and body returns the first job instead of making another.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}

# The alpha forms' own shapes; their clients send more than is read, so they are open.
_V1ALPHA2: dict[str, Any] = {
    "type": "object",
    "required": ["task"],
    "properties": {
        "task": {
            "type": "object",
            "required": ["metadata", "content"],
            "properties": {
                "metadata": {
                    "type": "object",
                    "required": ["runtime", "tasktype", "prefix"],
                    "properties": {
                        "id": {"type": ["string", "null"], "description": "The client's own; a repeat is a new job."},
                        "runtime": {"type": "string"},
                        "tasktype": {"type": "string"},
                        "prefix": {"type": "string", "description": "Folder in the output bucket."},
                        "context": {"description": "Comes back untouched."},
                    },
                },
                "content": {"type": "object", "description": "The runtime's own body."},
            },
        }
    },
}
_V1ALPHA1: dict[str, Any] = {
    "type": "object",
    "description": "A body of A1111's API whose `alwayson_scripts` also names the job.",
    "required": ["alwayson_scripts"],
    "properties": {
        "alwayson_scripts": {
            "type": "object",
            "required": ["task", "sd_model_checkpoint", "save_dir"],
            "properties": {
                "task": {"type": "string"},
                "sd_model_checkpoint": {"type": "string", "description": "Name of the runtime."},
                "save_dir": {"type": "string", "description": "Folder in the output bucket."},
                "id_task": {"type": ["string", "null"], "description": "The client's own; a repeat is a new job."},
                "uid": {"type": ["string", "null"]},
            },
        }
    },
}


class Operation(NamedTuple):
    """What a row's function takes and answers. answers: status, its words, and the body's struct."""

    summary: str
    answers: tuple[tuple[int, str, type[msgspec.Struct]], ...]
    errors: tuple[int, ...]
    parameters: tuple[dict[str, Any], ...] = ()
    request: type[msgspec.Struct] | dict[str, Any] | None = None


OPERATIONS = {
    "submit_job": Operation(
        summary="Submit a job",
        answers=((202, "The job waits in its queue.", Job), (200, "A repeated key: the first job.", Job)),
        errors=_SUBMIT_ERRORS,
        parameters=(_KEY,),
        request=JobRequest,
    ),
    "get_job": Operation(
        summary="A job's state, progress, times, error and outputs",
        answers=((200, "The job.", Job),),
        errors=(403, 404, 429, 500, 503),
        parameters=(_ID,),
    ),
    "submit_v1alpha2": Operation(
        summary="Submit a job in the public sample's second form",
        answers=((200, "The job waits in its queue.", V1Alpha2Answer),),
        errors=_SUBMIT_ERRORS,
        parameters=(_KEY,),
        request=_V1ALPHA2,
    ),
    "submit_v1alpha1": Operation(
        summary="Submit a job in the public sample's first form",
        answers=((200, "The job waits in its queue.", V1Alpha1Answer),),
        errors=_SUBMIT_ERRORS,
        parameters=(_KEY,),
        request=_V1ALPHA1,
    ),
}


def document() -> dict[str, Any]:
    """OpenAPI 3.1."""
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "sd-async", "version": "1", "description": "Asynchronous Stable Diffusion inference."},
        "security": [{"api_key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"api_key": {"type": "apiKey", "name": "x-api-key", "in": "header"}},
            "schemas": msgspec.json.schema_components(_structs(), ref_template="#/components/schemas/{name}")[1],
        },
    }


def text() -> str:
    return json.dumps(document(), indent=2, sort_keys=True) + "\n"


def _structs() -> list[type[msgspec.Struct]]:
    found: list[type[msgspec.Struct]] = [ErrorBody]
    for operation in OPERATIONS.values():
        found += [struct for _, _, struct in operation.answers]
        if isinstance(operation.request, type):
            found.append(operation.request)
    return list(dict.fromkeys(found))


def _operation(route: Route) -> dict[str, Any]:
    known = OPERATIONS[route.function]
    made: dict[str, Any] = {
        "operationId": route.function,
        "summary": known.summary,
        "parameters": list(known.parameters),
        "responses": {str(status): _response(words, struct) for status, words, struct in known.answers}
        | {str(status): _response(_ERRORS[status], ErrorBody) for status in known.errors},
    }
    if known.request is not None:
        schema = known.request if isinstance(known.request, dict) else _ref(known.request)
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return made


def _response(words: str, struct: type[msgspec.Struct]) -> dict[str, Any]:
    return {"description": words, "content": {"application/json": {"schema": _ref(struct)}}}


def _ref(struct: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{struct.__name__}"}


if __name__ == "__main__":
    PLACE.write_text(text(), encoding="utf-8")
