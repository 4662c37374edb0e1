"""A world of agents in one thread: whole processes that die, stand still and go on, on time that is computed."""
