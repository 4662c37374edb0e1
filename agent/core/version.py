"""The agent's version, as `result.json` tells it; the client's package has the same."""

VERSION = "0.1.0"
