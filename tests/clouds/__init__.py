"""Emulated AWS, Azure and GCP: provider plugins in this process that the real engine attaches to.

`fixtures.clouds` starts them. What they hold a program to is what the clouds' SDKs say (`sdk_types`) and what the
clouds document (`aws_rules`, `azure_rules`, `gcp_rules`); what they refuse, they refuse in the clouds' own words
(`errors`).
"""
