"""Rules on what a stack would have: checked at a preview, and before a launch makes anything. docs/previews.md lists them."""
