"""The race, and what every benchmark is made from."""
