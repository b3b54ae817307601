"""`python -m tinylm`, which is also what `torchrun -m tinylm pretrain` starts."""

from tinylm.cli.main import main

if __name__ == "__main__":
    main()
