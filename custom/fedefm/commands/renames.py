"""`--classes OLD=NEW,...`, as several commands take it."""


def renames(text: str | None) -> dict[str, str]:
    """`OLD=NEW,...` as a mapping.

    Raises:
        ConfigError: a piece has no equals sign, no name, or stands twice.
    """
    from fedefm.errors import ConfigError

    pairs = [] if text is None else [piece.partition("=") for piece in text.split(",")]
    if wrong := ["".join(pair) for pair in pairs if not pair[0].strip() or not pair[2].strip()]:
        raise ConfigError(f"--classes: {wrong[0]!r} is not OLD=NEW, as in 1=catheter,2=guidewire")
    found = {old.strip(): new.strip() for old, _, new in pairs}
    if len(found) < len(pairs):
        raise ConfigError(f"--classes {text}: something is named twice; name each once")
    return found
