"""Imports the SDK before the components do, which is where its own warning is silenced."""

import tests.support.engine  # noqa: F401 - for what its import does
