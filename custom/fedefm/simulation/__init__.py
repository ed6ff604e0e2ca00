"""Jobs on one machine, in FLARE's simulator or in one process."""
