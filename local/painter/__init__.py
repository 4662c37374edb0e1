"""A small server that speaks ComfyUI's or A1111's protocol and paints on the CPU. It is no diffusion model."""
