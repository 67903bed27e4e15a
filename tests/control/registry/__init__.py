"""Tests of wmesh.control.registry, file for file; `contract` is what every registry must pass."""
