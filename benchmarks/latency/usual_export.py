"""A BERT as a skilled user would export it for ONNX Runtime, without tinylm."""

# Only this needs these libraries, and they may be missing.
# ruff: noqa: PLC0415

import json
import shutil
import time
import warnings
from pathlib import Path
from statistics import median
from typing import Any


def export_usually(checkpoint: Path, folder: Path, precision: str) -> None:
    """What a skilled user makes of a BERT for ONNX Runtime: the fastest of the usual recipes, as measured here.

    torch.onnx with free batch and length, then with and without the fusions of `onnxruntime.transformers`; for int8
    dynamic quantisation of either, with one scale a matrix or one a column.
    """
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers import optimizer
    from transformers import BertForSequenceClassification
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    names = ("input_ids", "attention_mask", "token_type_ids")
    # The fusions know the products of plain attention, and the tracer the branches of a batch with padding.
    model = BertForSequenceClassification.from_pretrained(str(checkpoint), attn_implementation="eager").eval()
    model.config.return_dict = False
    example = torch.ones((2, 9), dtype=torch.long)
    mask = example.clone()
    mask[1, 7:] = 0
    plain, fused = folder / "plain.onnx", folder / "fused.onnx"
    with warnings.catch_warnings():
        # The exporter by tracing is deprecated; its graph is the one that the fusions recognise.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (example, mask, torch.zeros_like(example)),
            plain,
            input_names=list(names),
            output_names=["logits"],
            dynamic_axes={name: {0: "batch", 1: "tokens"} for name in names} | {"logits": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
    found = optimizer.optimize_model(
        str(plain), model_type="bert", num_heads=config["num_attention_heads"], hidden_size=config["hidden_size"]
    )
    found.save_model_to_file(str(fused))
    recipes = {"plain": plain, "fused": fused}
    if precision == "int8":
        recipes = {}
        for source in (plain, fused):
            for per_channel in (False, True):
                name = f"{source.stem}, {'a scale a column' if per_channel else 'a scale a matrix'}"
                recipes[name] = folder / f"{len(recipes)}.onnx"
                # The type of what fused operators give cannot be inferred and has to be given.
                quantize_dynamic(
                    source,
                    recipes[name],
                    weight_type=QuantType.QInt8,
                    per_channel=per_channel,
                    extra_options={"DefaultTensorType": 1},
                )
    milliseconds = _milliseconds(recipes)
    fastest = min(milliseconds, key=lambda name: milliseconds[name])
    recipes[fastest].rename(folder / "model.onnx")
    for path in (plain, fused, *recipes.values()):
        path.unlink(missing_ok=True)
    shutil.copy(checkpoint / "tokenizer.json", folder)
    labels = [config["id2label"][str(index)] for index in range(len(config["id2label"]))]
    write_facts(
        folder,
        labels=labels,
        positions=config["max_position_embeddings"],
        recipe=fastest,
        milliseconds=milliseconds,
        fusions={name: count for name, count in found.get_fused_operator_statistics().items() if count},
    )


def _milliseconds(models: dict[str, Path]) -> dict[str, float]:
    """Of one text of 40 tokens on one thread: median of calls that alternate."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    provider = "CPUExecutionProvider"
    sessions = {
        name: onnxruntime.InferenceSession(path, options, providers=[provider]) for name, path in models.items()
    }
    ids = np.random.default_rng(0).integers(1000, 8000, (1, 40))
    inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    milliseconds: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(8):
        for name, session in sessions.items():
            session.run(None, inputs)
            for _ in range(5):
                start = time.perf_counter()
                session.run(None, inputs)
                milliseconds[name].append(1000 * (time.perf_counter() - start))
    return {name: median(values) for name, values in milliseconds.items()}


def write_facts(folder: Path, **facts: Any) -> None:
    """What a subject has to know of its model, beside the model."""
    (folder / "facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
