"""What is declared: the stack settings and the ModelNode component."""
