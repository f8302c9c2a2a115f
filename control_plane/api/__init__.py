"""The HTTP API, as docs/api.md describes it."""
