"""SED and SAN on a GPU, against torch in half precision."""
