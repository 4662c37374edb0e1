"""Names that routes give to API Gateway's resources: an address each, so they stay."""

import pytest

from components import naming
from functions.api.routes import ROUTES


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/jobs", "v1-jobs"),
        ("/v1/jobs/{id}", "v1-jobs-by-id"),
        ("/v1/jobs/{id}/retry", "v1-jobs-by-id-retry"),
        ("/v1/openapi.json", "v1-openapi.json"),
        ("/console/{file+}", "console-by-file"),
    ],
)
def test_a_path_has_one_name(path: str, name: str) -> None:
    assert naming.path_part(path) == name


def test_no_two_routes_share_a_name() -> None:
    assert len({(route.method, naming.path_part(route.path)) for route in ROUTES}) == len(ROUTES)
