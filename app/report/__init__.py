"""``gpumon report``: what a span of time came to, as text, Markdown and one HTML file."""
