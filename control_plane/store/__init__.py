"""What the control plane remembers, in SQLite or PostgreSQL."""
