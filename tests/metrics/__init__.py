"""Tests of wmesh.metrics."""
