"""SED's bundles against the best that others offer, each from its own package."""
