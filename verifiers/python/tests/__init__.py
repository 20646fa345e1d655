"""Tests of the verifier. `python -m unittest` in the folder above runs them."""
