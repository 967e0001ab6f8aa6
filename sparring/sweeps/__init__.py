"""A SWEEP: one recipe with several values of its settings. What is tried, where it lies, who trains what, who wins."""
