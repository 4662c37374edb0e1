"""One foreign system each, behind a port of `agent.ports`; foreign errors end here."""
