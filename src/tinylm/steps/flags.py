"""How the fields of steps become flags: without a prefix, and in groups on the pages of `--help`."""

from cyclopts import Group, Parameter

_PRETRAINING, _FINETUNING, _DISTILLATION, _CORPUS, _TASK = (
    Group(name, sort_key=order)
    for order, name in enumerate(("Pre-training", "Fine-tuning", "Distillation", "Corpus and members", "Task"), start=1)
)

FLAT = Parameter(name="*")
CORPUS = Parameter(name="*", group=_CORPUS)
MEMBERS = Parameter(group=_CORPUS)
TASK = Parameter(name="*", group=_TASK)
PRETRAINING = Parameter(name="*", group=_PRETRAINING)
FINETUNING = Parameter(name="*", group=_FINETUNING)
FINETUNING_APART = Parameter(name="finetune", group=_FINETUNING)
"""`--finetune.steps`, where `--steps` is that of pre-training."""
DISTILLATION = Parameter(name="*", group=_DISTILLATION)
NO_FLAG = Parameter(parse=False)
