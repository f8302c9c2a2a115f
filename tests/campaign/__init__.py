"""The fault campaign: launches at emulated clouds while everything fails that may, and what holds all the same."""
