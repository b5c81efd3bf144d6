"""Scripts around the project: set-up and a ComfyUI server of its own."""
