"""Tests of wmesh.control.sources, file for file; `scene` is a name server that says what a test wants."""
