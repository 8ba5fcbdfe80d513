"""What several verbs share: the console, interruptions, options, notes."""
