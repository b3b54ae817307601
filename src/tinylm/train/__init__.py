"""How models are trained: one loop, the workloads that it runs, and their objectives."""
