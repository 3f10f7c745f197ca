"""ComfyUI: how it is recognised and asked (``kind``), and what is read of its answers (``answers``)."""
