"""What an update would do, told to a reviewer before it is done: docs/previews.md."""
