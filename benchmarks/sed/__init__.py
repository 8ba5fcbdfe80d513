"""SED: against torch, with a growing vocabulary, and rewrite by rewrite."""
