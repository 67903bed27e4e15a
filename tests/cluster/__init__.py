"""Tests of wmesh.cluster."""
