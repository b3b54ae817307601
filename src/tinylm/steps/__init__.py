"""The steps of the main job: pre-train, fine-tune, distil, export."""
