"""What a person types: one module a subcommand, each with `add(commands)`.

Heavy imports stand inside the functions, so that `--help` answers at once.
"""
