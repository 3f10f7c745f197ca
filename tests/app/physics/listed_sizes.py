"""Sizes of files that others list, which the catalogue has to come to by itself: nothing was fitted to them,
but which tensors Ollama leaves in 16 bits was told from those of Qwen 3, Qwen 3.5 with experts and Phi-4.
"""

from __future__ import annotations

OLLAMA: dict[str, float] = {
    "llama2:7b": 3.8, "llama2:13b": 7.4, "llama2:70b": 39, "llama3:8b": 4.7, "llama3:70b": 40,
    "llama3.1:8b": 4.9, "llama3.1:70b": 43, "llama3.1:405b": 243, "llama3.2:1b": 1.3, "llama3.2:3b": 2.0,
    "llama3.3:70b": 43, "llama4:16x17b": 67, "llama4:128x17b": 245, "tinyllama:1.1b": 0.638,
    "codellama:7b": 3.8, "codellama:13b": 7.4, "codellama:34b": 19, "mistral:7b": 4.4, "mixtral:8x7b": 26,
    "mixtral:8x22b": 80, "mistral-large:123b": 73, "mistral-nemo:12b": 7.1, "mistral-small:24b": 14,
    "mistral-small3.1:24b": 15, "mistral-small3.2:24b": 15, "devstral:24b": 14, "magistral:24b": 14,
    "devstral-small-2:24b": 15, "ministral-3:3b": 3.0, "ministral-3:8b": 6.0, "qwen2.5:0.5b": 0.398,
    "qwen2.5:1.5b": 0.986, "qwen2.5:3b": 1.9, "qwen2.5:7b": 4.7, "qwen2.5:14b": 9.0, "qwen2.5:32b": 20,
    "qwen2.5:72b": 47, "qwen2.5-coder:0.5b": 0.398, "qwen2.5-coder:1.5b": 0.986, "qwen2.5-coder:3b": 1.9,
    "qwen2.5-coder:7b": 4.7, "qwen2.5-coder:14b": 9.0, "qwen2.5-coder:32b": 20, "qwq:32b": 20,
    "deepseek-r1:1.5b": 1.1, "deepseek-r1:7b": 4.7, "deepseek-r1:14b": 9.0, "deepseek-r1:32b": 20,
    "deepseek-r1:70b": 43, "deepseek-r1:8b": 5.2, "qwen2.5vl:3b": 3.2, "qwen2.5vl:7b": 6.0,
    "qwen2.5vl:32b": 21, "qwen3:0.6b": 0.523, "qwen3:1.7b": 1.4, "qwen3:4b": 2.5, "qwen3:8b": 5.2,
    "qwen3:14b": 9.3, "qwen3:32b": 20, "qwen3:30b": 19, "qwen3:235b": 142, "qwen3-coder:30b": 19,
    "qwen3-coder:480b": 290, "qwen3-vl:2b": 1.9, "qwen3-vl:4b": 3.3, "qwen3-vl:8b": 6.1,
    "qwen3-vl:32b": 21, "qwen3-vl:30b": 20, "qwen3-vl:235b": 143, "qwen3-next:80b": 50, "qwen3.5:27b": 17,
    "qwen3.6:27b": 17, "qwen3.5:9b": 6.6, "qwen3.5:4b": 3.4, "qwen3.5:2b": 2.7, "qwen3.5:0.8b": 1.0,
    "qwen3.5:35b": 24, "qwen3.6:35b": 24, "qwen3.5:122b": 81, "qwen3-embedding:0.6b": 0.639,
    "qwen3-embedding:4b": 2.5, "qwen3-embedding:8b": 4.7, "gemma:7b": 5.0, "gemma2:2b": 1.6,
    "gemma2:9b": 5.4, "gemma2:27b": 16, "gemma3:270m": 0.292, "gemma3:1b": 0.815, "gemma3:4b": 3.3,
    "gemma3:12b": 8.1, "gemma3:27b": 17, "gemma3n:e2b": 5.6, "gemma3n:e4b": 7.5, "gemma4:e2b": 7.2,
    "gemma4:e4b": 9.6, "gemma4:26b": 18, "gemma4:31b": 20, "phi3:3.8b": 2.2, "phi3.5:3.8b": 2.2,
    "phi3:14b": 7.9, "phi4:14b": 9.1, "phi4-reasoning:14b": 11, "phi4-mini-reasoning:3.8b": 3.2,
    "phi4-mini:3.8b": 2.5, "gpt-oss:20b": 14, "gpt-oss:120b": 65, "deepseek-v3:671b": 404,
    "deepseek-r1:671b": 404, "deepseek-v3.1:671b": 404, "deepseek-coder-v2:16b": 8.9,
    "deepseek-coder-v2:236b": 133, "glm4:9b": 5.5, "falcon3:1b": 1.8, "falcon3:3b": 2.0, "falcon3:7b": 4.6,
    "falcon3:10b": 6.3, "smollm2:135m": 0.271, "smollm2:360m": 0.726, "smollm2:1.7b": 1.8, "olmo2:7b": 4.5,
    "olmo2:13b": 8.4, "olmo-3:7b": 4.5, "olmo-3.1:32b": 19, "granite3.3:8b": 4.9, "granite3.3:2b": 1.5,
    "command-r:35b": 19, "command-r7b:7b": 5.1, "command-a:111b": 67, "starcoder2:3b": 1.7,
    "starcoder2:7b": 4.0, "starcoder2:15b": 9.1, "yi:6b": 3.5, "yi:9b": 5.0, "yi:34b": 19,
    "codestral:22b": 13, "deepseek-coder:1.3b": 0.776, "deepseek-coder:6.7b": 3.8,
    "deepseek-coder:33b": 19, "solar:10.7b": 6.1, "nomic-embed-text:v1.5": 0.274,
    "mxbai-embed-large:335m": 0.670, "bge-m3:567m": 1.2, "all-minilm:22m": 0.046, "llava:7b": 4.7,
    "llava:13b": 8.0, "qwen2:0.5b": 0.352, "qwen2:1.5b": 0.935, "qwen2:7b": 4.4, "qwen2:72b": 41,
    "devstral-2:123b": 75, "zephyr:7b": 4.1, "aya-expanse:8b": 5.1, "aya:8b": 4.8, "internlm2:7b": 4.5,
    "exaone3.5:7.8b": 4.8, "exaone3.5:2.4b": 1.6, "exaone3.5:32b": 19, "smollm:135m": 0.092,
    "smollm:360m": 0.229, "smollm:1.7b": 0.991, "gemma4:12b": 7.6,
}  # fmt: skip
"""In 10^9 bytes, rounded as the library shows them (github.com/Jeffser/Alpaca at d1577de, June 2026)."""

HUB: dict[str, dict[str, float]] = {
    "qwen3:14b": {
        "BF16": 29.54, "Q8_0": 15.70, "Q6_K_L": 12.50, "Q6_K": 12.12, "Q5_K_L": 10.99, "Q5_K_M": 10.51,
        "Q5_K_S": 10.26, "Q4_K_L": 9.58, "Q4_1": 9.39, "Q4_K_M": 9.00, "Q3_K_XL": 8.58, "Q4_K_S": 8.57,
        "Q4_0": 8.54, "IQ4_XS": 8.18,
    },
    "qwen3:30b": {
        "BF16": 61.10, "Q8_0": 32.48, "Q6_K_L": 25.26, "Q6_K": 25.10, "Q5_K_L": 21.94, "Q5_K_M": 21.74,
        "Q5_K_S": 21.10, "IQ4_XS": 16.6,
    },
    "gemma3:12b": {"IQ3_XS": 5.21, "Q4_0": 6.91, "Q5_K_S": 8.23},
    "llama3.1:8b": {
        "IQ2_XXS": 2.39, "Q2_K": 3.17, "IQ3_XXS": 3.26, "Q3_K_S": 3.65, "Q3_K_L": 4.32, "IQ4_XS": 4.48,
        "Q4_K_S": 4.69, "Q4_K_M": 4.91, "Q5_K_M": 5.72, "Q6_K": 6.58, "Q8_0": 8.53,
    },
}  # fmt: skip
"""The same of files on the hub, by the cards of bartowski's repositories, Llama 3.1 by bits per weight."""
