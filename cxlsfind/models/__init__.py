"""Networks and likelihood models: what they compute, how they are kept and how they are run."""
