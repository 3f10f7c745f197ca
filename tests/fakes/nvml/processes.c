/* Process lists in their three historic shapes, and per-process utilisation. */
#include "fake.h"

#include <time.h>

enum { COMPUTE = 1, GRAPHICS = 2, MPS = 4 };

static unsigned int count_kind(const struct fake_gpu *gpu, uint32_t kind)
{
    unsigned int count = 0;
    for (uint32_t i = 0; i < gpu->process_count; i++)
        count += (gpu->processes[i].kinds & kind) != 0;
    return count;
}

/* NVML's protocol: too small an array answers INSUFFICIENT_SIZE and the size that is needed. */
static nvmlReturn_t negotiate(const struct fake_gpu *gpu, uint32_t kind, unsigned int *count, const void *array)
{
    unsigned int needed = count_kind(gpu, kind);
    int fits = needed == 0 || (array && *count >= needed);
    *count = needed;
    return fits ? NVML_SUCCESS : NVML_ERROR_INSUFFICIENT_SIZE;
}

#define LIST(function, type, kind, EXTRA)                                                \
    nvmlReturn_t function(nvmlDevice_t device, unsigned int *count, type *infos)         \
    {                                                                                    \
        DEVICE(function);                                                                \
        nvmlReturn_t result = negotiate(gpu, kind, count, infos);                        \
        for (uint32_t i = 0; result == NVML_SUCCESS && *count && i < gpu->process_count; i++) { \
            if (!(gpu->processes[i].kinds & (kind)))                                     \
                continue;                                                                \
            infos->pid = gpu->processes[i].pid;                                          \
            infos->usedGpuMemory = gpu->processes[i].vram_bytes;                         \
            EXTRA;                                                                       \
            infos++;                                                                     \
        }                                                                                \
        return result;                                                                   \
    }

#define NO_INSTANCE infos->gpuInstanceId = infos->computeInstanceId = 0xFFFFFFFF

LIST(nvmlDeviceGetComputeRunningProcesses, nvmlProcessInfo_v1_t, COMPUTE, (void)0)
LIST(nvmlDeviceGetComputeRunningProcesses_v2, nvmlProcessInfo_v2_t, COMPUTE, NO_INSTANCE)
LIST(nvmlDeviceGetComputeRunningProcesses_v3, nvmlProcessInfo_t, COMPUTE, NO_INSTANCE)
LIST(nvmlDeviceGetGraphicsRunningProcesses, nvmlProcessInfo_v1_t, GRAPHICS, (void)0)
LIST(nvmlDeviceGetGraphicsRunningProcesses_v2, nvmlProcessInfo_v2_t, GRAPHICS, NO_INSTANCE)
LIST(nvmlDeviceGetGraphicsRunningProcesses_v3, nvmlProcessInfo_t, GRAPHICS, NO_INSTANCE)
LIST(nvmlDeviceGetMPSComputeRunningProcesses, nvmlProcessInfo_v1_t, MPS, (void)0)
LIST(nvmlDeviceGetMPSComputeRunningProcesses_v2, nvmlProcessInfo_v2_t, MPS, NO_INSTANCE)
LIST(nvmlDeviceGetMPSComputeRunningProcesses_v3, nvmlProcessInfo_t, MPS, NO_INSTANCE)

static unsigned long long microseconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000;
}

nvmlReturn_t nvmlDeviceGetProcessUtilization(nvmlDevice_t device, nvmlProcessUtilizationSample_t *samples,
                                             unsigned int *count, unsigned long long since)
{
    DEVICE(nvmlDeviceGetProcessUtilization);
    (void)since;
    unsigned int room = samples ? *count : 0, busy = 0;
    for (uint32_t i = 0; i < gpu->process_count; i++) {
        if (!gpu->processes[i].sm_percent)
            continue;
        if (busy < room)
            samples[busy] = (nvmlProcessUtilizationSample_t){.pid = gpu->processes[i].pid,
                                                             .timeStamp = microseconds_now(),
                                                             .smUtil = gpu->processes[i].sm_percent};
        busy++;
    }
    *count = busy;
    if (!busy)
        return NVML_ERROR_NOT_FOUND;
    return busy <= room ? NVML_SUCCESS : NVML_ERROR_INSUFFICIENT_SIZE;
}
