"""The functions' entry modules, which read the environment when they are imported."""

import pytest

from tests.functions.fakes import ENVIRONMENT, SPEND_ENVIRONMENT

with pytest.MonkeyPatch.context() as _environment:
    for _name, _value in {**ENVIRONMENT, **SPEND_ENVIRONMENT}.items():
        _environment.setenv(_name, _value)
    from functions import dead_letter, outbox, spend
    from functions.api.handler import STATUS_OF, Api, owner_of, trace_of

__all__ = ["STATUS_OF", "Api", "dead_letter", "outbox", "owner_of", "spend", "trace_of"]
