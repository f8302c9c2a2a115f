"""The fault campaign: launches at emulated clouds while everything that may fail does, and what must hold all the same."""
