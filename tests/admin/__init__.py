"""Tests of wmesh.admin."""
