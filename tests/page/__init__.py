"""Tests of the launch page, in a real browser, against a server that follows docs/api.md from a script."""
