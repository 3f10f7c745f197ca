"""The source that asks a pass-through meter (``gpumon meter``) for what it has counted."""
