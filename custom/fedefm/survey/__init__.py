"""What every hospital's images are like, told before anything is trained, as plain functions: no FLARE."""
