"""A trained committee as one ONNX graph, checked against torch."""
