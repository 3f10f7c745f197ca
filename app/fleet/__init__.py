"""Other machines: what ``gpumon record`` there says over ssh, and what a Prometheus knows of them."""
