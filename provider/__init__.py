"""Our own Pulumi provider: boot session, readiness, local machine."""
