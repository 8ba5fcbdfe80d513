"""Options of the verbs that measure and report, as in `cli.proof`."""
