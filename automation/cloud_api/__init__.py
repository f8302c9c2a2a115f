"""Reading from the clouds' own APIs: credentials as the providers find them, and one way to say what was refused."""
