"""A small server that speaks ComfyUI's protocol and paints on the CPU. It is a painter, not a diffusion model."""
