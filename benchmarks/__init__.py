"""Measurements; each module prints a Markdown table. Nothing here is a test."""
