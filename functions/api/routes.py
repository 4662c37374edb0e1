"""The API's routes, as rows. Standard library only: whoever places the API's resources reads them too."""

from typing import NamedTuple


class Route(NamedTuple):
    """One method of one resource. function: the name of the method of `service.Service` that serves it."""

    method: str
    path: str
    function: str


# A REST API matches a request with a slash at its end to the resource without it, so `/v1alpha2/` needs no row.
ROUTES = (
    Route("POST", "/v1/jobs", "submit_job"),
    Route("GET", "/v1/jobs/{id}", "get_job"),
    Route("POST", "/v1alpha2", "submit_v1alpha2"),
    Route("POST", "/v1alpha1", "submit_v1alpha1"),
)


# What a person opens in a browser, so without a key; nothing in it is anybody's. function: the file in `console/`.
PAGES = (Route("GET", "/console", "index.html"),)


def page_for(method: str, path: str) -> Route | None:
    """As `route_for`, of a page."""
    return _row(PAGES, method, path)


def route_for(method: str, path: str) -> Route | None:
    """Row of a resource's path (`/v1/jobs/{id}`, not a request's own path); a closing slash is ignored."""
    return _row(ROUTES, method, path)


def _row(rows: tuple[Route, ...], method: str, path: str) -> Route | None:
    clean = path.rstrip("/")
    return next((route for route in rows if (route.method, route.path) == (method, clean)), None)
