"""What runs inside a sandbox: handed over as source text, never imported by the writer."""
