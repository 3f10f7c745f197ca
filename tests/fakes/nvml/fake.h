/* What the parts of the fake driver library share. Written for gpumon's tests; holds nothing of NVIDIA's. */
#pragma once

#define NVML_NO_UNVERSIONED_FUNC_DEFS /* the names below are the ones that the library exports */
#include <nvml.h>

#include "fake_layout.h"

/* The shared state; NULL until the library has been initialised. */
struct fake_state *fake_state(void);

/* Counts the call, waits where told to, and returns the error that is set for it, or NVML_SUCCESS. */
nvmlReturn_t fake_enter(enum fake_number number, unsigned int gpu);

/* The same for a call about one device; on success *gpu is that device. */
nvmlReturn_t fake_enter_device(enum fake_number number, nvmlDevice_t device, struct fake_gpu **gpu);

/* Device handles carry the slot and the driver's generation, so that old handles are told from new ones. */
nvmlReturn_t fake_handle(unsigned int slot, nvmlDevice_t *device);
unsigned int fake_slot(nvmlDevice_t device);

nvmlReturn_t fake_copy(const char *text, char *buffer, unsigned int length);

#define DEVICE(function)                                                         \
    struct fake_gpu *gpu = NULL;                                                 \
    nvmlReturn_t refusal = fake_enter_device(FAKE_##function, device, &gpu);     \
    if (refusal != NVML_SUCCESS)                                                 \
        return refusal

#define SYSTEM(function)                                                         \
    nvmlReturn_t refusal = fake_enter(FAKE_##function, FAKE_ALL_GPUS);           \
    if (refusal != NVML_SUCCESS)                                                 \
        return refusal
