"""Tests of wmesh.wire, file for file. Together they are the request-smuggling and parsing suite of the gateway."""
