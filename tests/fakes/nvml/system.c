/* Calls about the whole driver, and how devices are found and named. */
#include "fake.h"

#include <stdio.h>
#include <string.h>

const char *nvmlErrorString(nvmlReturn_t result)
{
    static _Thread_local char text[32];
    snprintf(text, sizeof text, "error %d", (int)result);
    return text;
}

nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned int length)
{
    SYSTEM(nvmlSystemGetDriverVersion);
    return fake_copy(fake_state()->driver_version, version, length);
}

nvmlReturn_t nvmlSystemGetNVMLVersion(char *version, unsigned int length)
{
    SYSTEM(nvmlSystemGetNVMLVersion);
    return fake_copy("13." FAKE_LIBRARY_VERSION, version, length);
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion(int *version)
{
    SYSTEM(nvmlSystemGetCudaDriverVersion);
    *version = (int)fake_state()->cuda_version;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *version)
{
    SYSTEM(nvmlSystemGetCudaDriverVersion_v2);
    *version = (int)fake_state()->cuda_version;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *count)
{
    SYSTEM(nvmlDeviceGetCount_v2);
    *count = fake_state()->gpu_count;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCount(unsigned int *count)
{
    SYSTEM(nvmlDeviceGetCount);
    *count = fake_state()->gpu_count;
    return NVML_SUCCESS;
}

static nvmlReturn_t by_index(enum fake_number number, unsigned int index, nvmlDevice_t *device)
{
    struct fake_state *state = fake_state();
    unsigned int slot = state && index < state->gpu_count ? state->order[index] : FAKE_ALL_GPUS;
    nvmlReturn_t refusal = fake_enter(number, slot);
    if (refusal != NVML_SUCCESS)
        return refusal;
    return slot == FAKE_ALL_GPUS ? NVML_ERROR_INVALID_ARGUMENT : fake_handle(slot, device);
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device)
{
    return by_index(FAKE_nvmlDeviceGetHandleByIndex_v2, index, device);
}

nvmlReturn_t nvmlDeviceGetHandleByIndex(unsigned int index, nvmlDevice_t *device)
{
    return by_index(FAKE_nvmlDeviceGetHandleByIndex, index, device);
}

nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device)
{
    SYSTEM(nvmlDeviceGetHandleByUUID);
    for (unsigned int slot = 0; slot < fake_state()->gpu_count; slot++)
        if (strcmp(fake_state()->gpus[slot].uuid, uuid) == 0)
            return fake_handle(slot, device);
    return NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, nvmlDevice_t *device)
{
    SYSTEM(nvmlDeviceGetHandleByPciBusId_v2);
    for (unsigned int slot = 0; slot < fake_state()->gpu_count; slot++)
        if (strcasecmp(fake_state()->gpus[slot].bus_id, bus_id) == 0)
            return fake_handle(slot, device);
    return NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t device, unsigned int *index)
{
    DEVICE(nvmlDeviceGetIndex);
    for (*index = 0; *index < fake_state()->gpu_count; ++*index)
        if (&fake_state()->gpus[fake_state()->order[*index]] == gpu)
            return NVML_SUCCESS;
    return NVML_ERROR_UNKNOWN;
}

nvmlReturn_t nvmlDeviceGetMinorNumber(nvmlDevice_t device, unsigned int *minor)
{
    DEVICE(nvmlDeviceGetMinorNumber);
    *minor = (unsigned int)(gpu - fake_state()->gpus);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned int length)
{
    DEVICE(nvmlDeviceGetUUID);
    return fake_copy(gpu->uuid, uuid, length);
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned int length)
{
    DEVICE(nvmlDeviceGetName);
    return fake_copy(gpu->name, name, length);
}

static nvmlReturn_t write_pci(struct fake_gpu *gpu, nvmlPciInfo_t *pci)
{
    memset(pci, 0, sizeof *pci);
    snprintf(pci->busId, sizeof pci->busId, "%s", gpu->bus_id);
    sscanf(gpu->bus_id, "%x:%x:%x", &pci->domain, &pci->bus, &pci->device);
    snprintf(pci->busIdLegacy, sizeof pci->busIdLegacy, "%04x:%02x:%02x.0", pci->domain & 0xffff,
             pci->bus & 0xff, pci->device & 0xff);
    pci->pciDeviceId = 0x268410de;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t *pci)
{
    DEVICE(nvmlDeviceGetPciInfo_v3);
    return write_pci(gpu, pci);
}

nvmlReturn_t nvmlDeviceGetPciInfo_v2(nvmlDevice_t device, nvmlPciInfo_t *pci)
{
    DEVICE(nvmlDeviceGetPciInfo_v2);
    return write_pci(gpu, pci);
}
