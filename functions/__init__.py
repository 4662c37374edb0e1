"""Lambda code: the API, the outbox sweep and the dead-letter handler."""
