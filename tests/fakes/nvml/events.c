/* Events: the Xid errors that the test has the driver report, in the order in which it does. */
#include "fake.h"

#include <stdlib.h>

struct nvmlEventSet_st {
    uint32_t gpus; /* that it was registered for, a bit each */
    uint32_t taken;
};

nvmlReturn_t nvmlEventSetCreate(nvmlEventSet_t *set)
{
    SYSTEM(nvmlEventSetCreate);
    *set = calloc(1, sizeof **set);
    (*set)->taken = fake_state()->xid_count;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlEventSetFree(nvmlEventSet_t set)
{
    SYSTEM(nvmlEventSetFree);
    free(set);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t device, unsigned long long types, nvmlEventSet_t set)
{
    DEVICE(nvmlDeviceRegisterEvents);
    if (types != nvmlEventTypeXidCriticalError)
        return NVML_ERROR_NOT_SUPPORTED;
    set->gpus |= 1u << (gpu - fake_state()->gpus);
    return NVML_SUCCESS;
}

/* A time-out that is not 0 would be waited for by the driver: the tests fail then, as nothing may wait for it. */
nvmlReturn_t nvmlEventSetWait_v2(nvmlEventSet_t set, nvmlEventData_t *data, unsigned int milliseconds)
{
    SYSTEM(nvmlEventSetWait_v2);
    if (milliseconds != 0)
        return NVML_ERROR_INVALID_ARGUMENT;
    while (set->taken < fake_state()->xid_count) {
        uint32_t at = set->taken++ % FAKE_MAX_XIDS, slot = fake_state()->xid_gpus[at];
        if (!(set->gpus & 1u << slot))
            continue;
        fake_handle(slot, &data->device);
        data->eventType = nvmlEventTypeXidCriticalError;
        data->eventData = fake_state()->xid_numbers[at];
        data->gpuInstanceId = data->computeInstanceId = 0xFFFFFFFF;
        return NVML_SUCCESS;
    }
    return NVML_ERROR_TIMEOUT;
}
