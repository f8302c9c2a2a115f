"""What drives an update: launches, stages, errors, and the command line."""
