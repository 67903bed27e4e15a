"""Tests of wmesh.control, file for file."""
