"""Tests of the cache in the data plane."""
