"""Where the Pulumi engine comes from, and the Python language host for engines built from source."""
