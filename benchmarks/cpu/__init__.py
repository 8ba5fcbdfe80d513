"""On a CPU: backends, operators, and how long the command line takes to start."""
