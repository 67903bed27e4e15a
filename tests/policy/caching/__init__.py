"""Tests of the cache's decisions."""
