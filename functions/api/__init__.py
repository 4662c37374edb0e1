"""The HTTP API: routes are rows, handler parses and maps, service decides, store talks to AWS."""
