"""What the methods are made of: kernels, models and proofs that their files share or hide."""
