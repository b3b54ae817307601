"""Editions of the training code, which are facts of every run."""

EDITIONS = {"pretraining": 2, "finetuning": 2}
"""To be raised by whoever changes what training makes of the same settings, so that earlier runs are not taken for it.

Pre-training 2: passages of mostly 16 to 32 tokens. Fine-tuning 2: each member holds out a part of its own.
Not counted: that the learning rate of an update is that at its middle (half an update later than before), since it
moves the schedule by half an update of thousands.
"""
