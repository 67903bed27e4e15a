"""Tests of wmesh.balance."""
