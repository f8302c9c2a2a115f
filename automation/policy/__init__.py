"""Rules on what a stack would have, for previews and before a launch makes anything: docs/previews.md."""
