"""One look at every file of a hospital's folder: facts for its own screen, and what of them an eye should see."""
