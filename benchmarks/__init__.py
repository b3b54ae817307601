"""Speed, memory and size of tinylm beside the usual alternatives: one folder a subject, run from the project's root.

    python -m benchmarks.latency     one text a call, many at once, growth, cold start
    python -m benchmarks.training    pre-training, fine-tuning, tokenising
    python -m benchmarks.serving     `tinylm serve` under load, under abuse, and when it is stopped
    python -m benchmarks.size        disk space of the base package
    python -m benchmarks.tasks       accuracy on tasks of many kinds, with all labels or a few of each
    python -m benchmarks.languages   accuracy and tokens in other languages than English

Everything that is compared runs in a process of its own and takes its rounds by turns: see `runner.py`.
"""
