"""Labelled texts with the names of their labels."""


def named(examples, labels):
    return [(text, labels[label]) for text, label in zip(examples.texts, examples.labels, strict=True)]


def named_sets(examples, labels):
    """Of several labels a text: {text: the names of its labels}."""
    return {
        text: {label for label, present in zip(labels, row, strict=True) if present}
        for text, row in zip(examples.texts, examples.labels, strict=True)
    }
