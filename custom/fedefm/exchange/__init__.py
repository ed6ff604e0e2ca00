"""The exchange protocol in plain Python: topology, schedule, messages, round state. Neither torch nor FLARE."""
