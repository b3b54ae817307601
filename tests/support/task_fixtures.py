"""Labelled texts with the names of their labels."""


def named(examples, labels):
    return [(text, labels[label]) for text, label in zip(examples.texts, examples.labels, strict=True)]
