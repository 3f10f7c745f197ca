"""One run of gpumon: where its samples come from, what the user has chosen. Built from the settings."""
