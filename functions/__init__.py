"""Lambda code: the API, the outbox sweep, the dead-letter handler and the price of the machines."""
