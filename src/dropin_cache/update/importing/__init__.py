"""What plugin modules define, as told by the processes that import them; alone talks to those."""
