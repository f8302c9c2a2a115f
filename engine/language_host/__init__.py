"""A small Python language host for Pulumi engines built from source, where the official host can't be had."""
