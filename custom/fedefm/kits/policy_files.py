"""Which policy files a site's `local` folder must hold. FLARE takes a missing policy for "all is allowed"."""

# One line each. The kit builder lays it down twice (`lay.py`), the doctor refuses a kit without it.
POLICIES = (
    "resources.json",
    "authorization.json",
    "privacy.json",
    "log_config.json",
    "fedefm_limits.json",
)
