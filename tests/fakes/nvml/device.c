/* Values of one device. */
#include "fake.h"

#include <string.h>

#define GETTER(function, type, field)                     \
    nvmlReturn_t function(nvmlDevice_t device, type *value) \
    {                                                     \
        DEVICE(function);                                 \
        *value = (type)gpu->field;                        \
        return NVML_SUCCESS;                              \
    }

#define PAIR(function, type, first_field, second_value)                          \
    nvmlReturn_t function(nvmlDevice_t device, type *first, type *second)        \
    {                                                                            \
        DEVICE(function);                                                        \
        *first = (type)gpu->first_field;                                         \
        *second = (type)(second_value);                                          \
        return NVML_SUCCESS;                                                     \
    }

GETTER(nvmlDeviceGetFanSpeed, unsigned int, fan_percent)
GETTER(nvmlDeviceGetPowerUsage, unsigned int, power_milliwatts)
GETTER(nvmlDeviceGetEnforcedPowerLimit, unsigned int, power_limit_milliwatts)
GETTER(nvmlDeviceGetPowerManagementLimit, unsigned int, power_limit_milliwatts)
GETTER(nvmlDeviceGetPowerManagementDefaultLimit, unsigned int, power_limit_default_milliwatts)
GETTER(nvmlDeviceGetPerformanceState, nvmlPstates_t, performance_state)
GETTER(nvmlDeviceGetPowerState, nvmlPstates_t, performance_state)
GETTER(nvmlDeviceGetCurrentClocksEventReasons, unsigned long long, throttle_reasons)
GETTER(nvmlDeviceGetCurrentClocksThrottleReasons, unsigned long long, throttle_reasons)
GETTER(nvmlDeviceGetBrand, nvmlBrandType_t, brand)
GETTER(nvmlDeviceGetArchitecture, nvmlDeviceArchitecture_t, architecture)
GETTER(nvmlDeviceGetMemoryBusWidth, unsigned int, memory_bus_width_bits)
GETTER(nvmlDeviceGetCurrPcieLinkGeneration, unsigned int, pcie_generation)
GETTER(nvmlDeviceGetCurrPcieLinkWidth, unsigned int, pcie_width)
GETTER(nvmlDeviceGetMaxPcieLinkGeneration, unsigned int, pcie_generation_max)
GETTER(nvmlDeviceGetMaxPcieLinkWidth, unsigned int, pcie_width_max)
GETTER(nvmlDeviceGetPersistenceMode, nvmlEnableState_t, persistence_mode)
GETTER(nvmlDeviceGetTotalEnergyConsumption, unsigned long long, energy_millijoules)

PAIR(nvmlDeviceGetEncoderUtilization, unsigned int, encoder_percent, 167000)
PAIR(nvmlDeviceGetDecoderUtilization, unsigned int, decoder_percent, 167000)
PAIR(nvmlDeviceGetPowerManagementLimitConstraints, unsigned int, power_limit_min_milliwatts,
     gpu->power_limit_max_milliwatts)

nvmlReturn_t nvmlDeviceGetCudaComputeCapability(nvmlDevice_t device, int *major, int *minor)
{
    DEVICE(nvmlDeviceGetCudaComputeCapability);
    *major = 8;
    *minor = 9;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetNumFans(nvmlDevice_t device, unsigned int *count)
{
    DEVICE(nvmlDeviceGetNumFans);
    *count = 1;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetFanSpeed_v2(nvmlDevice_t device, unsigned int fan, unsigned int *speed)
{
    DEVICE(nvmlDeviceGetFanSpeed_v2);
    *speed = gpu->fan_percent;
    return fan == 0 ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}

/* ------------------------------------------------------------------------------------------- memory */

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory)
{
    DEVICE(nvmlDeviceGetMemoryInfo);
    memory->total = gpu->total_bytes;
    memory->used = gpu->used_bytes + gpu->reserved_bytes;
    memory->free = memory->total - memory->used;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *memory)
{
    DEVICE(nvmlDeviceGetMemoryInfo_v2);
    if (memory->version != nvmlMemory_v2)
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    memory->total = gpu->total_bytes;
    memory->reserved = gpu->reserved_bytes;
    memory->used = gpu->used_bytes;
    memory->free = memory->total - memory->used - memory->reserved;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetBAR1MemoryInfo(nvmlDevice_t device, nvmlBAR1Memory_t *memory)
{
    DEVICE(nvmlDeviceGetBAR1MemoryInfo);
    memory->bar1Total = gpu->total_bytes;
    memory->bar1Used = 4 << 20;
    memory->bar1Free = memory->bar1Total - memory->bar1Used;
    return NVML_SUCCESS;
}

/* ------------------------------------------------------------------ utilisation, temperature, clocks */

nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *utilization)
{
    DEVICE(nvmlDeviceGetUtilizationRates);
    if (gpu->mig_mode)
        return NVML_ERROR_NOT_SUPPORTED;
    utilization->gpu = gpu->utilization_percent;
    utilization->memory = gpu->memory_utilization_percent;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t device, nvmlTemperatureSensors_t sensor, unsigned int *value)
{
    DEVICE(nvmlDeviceGetTemperature);
    *value = gpu->temperature_celsius;
    return sensor == NVML_TEMPERATURE_GPU ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}

nvmlReturn_t nvmlDeviceGetTemperatureV(nvmlDevice_t device, nvmlTemperature_t *temperature)
{
    DEVICE(nvmlDeviceGetTemperatureV);
    temperature->temperature = (int)gpu->temperature_celsius;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTemperatureThreshold(nvmlDevice_t device, nvmlTemperatureThresholds_t threshold,
                                               unsigned int *value)
{
    DEVICE(nvmlDeviceGetTemperatureThreshold);
    if (threshold == NVML_TEMPERATURE_THRESHOLD_SHUTDOWN)
        *value = gpu->shutdown_celsius;
    else if (threshold == NVML_TEMPERATURE_THRESHOLD_SLOWDOWN)
        *value = gpu->slowdown_celsius;
    else
        return NVML_ERROR_NOT_SUPPORTED;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t device, nvmlClockType_t clock, unsigned int *mhz)
{
    DEVICE(nvmlDeviceGetClockInfo);
    *mhz = clock == NVML_CLOCK_MEM ? gpu->memory_clock_mhz : gpu->sm_clock_mhz;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMaxClockInfo(nvmlDevice_t device, nvmlClockType_t clock, unsigned int *mhz)
{
    DEVICE(nvmlDeviceGetMaxClockInfo);
    *mhz = clock == NVML_CLOCK_MEM ? gpu->max_memory_clock_mhz : gpu->max_sm_clock_mhz;
    return NVML_SUCCESS;
}

/* -------------------------------------------------------------------------------- ECC, MIG and PCIe */

nvmlReturn_t nvmlDeviceGetEccMode(nvmlDevice_t device, nvmlEnableState_t *current, nvmlEnableState_t *pending)
{
    DEVICE(nvmlDeviceGetEccMode);
    *current = *pending = (nvmlEnableState_t)gpu->ecc_enabled;
    return gpu->ecc_supported ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
}

nvmlReturn_t nvmlDeviceGetTotalEccErrors(nvmlDevice_t device, nvmlMemoryErrorType_t type,
                                         nvmlEccCounterType_t counter, unsigned long long *count)
{
    DEVICE(nvmlDeviceGetTotalEccErrors);
    (void)counter;
    *count = type == NVML_MEMORY_ERROR_TYPE_CORRECTED ? gpu->ecc_corrected : gpu->ecc_uncorrected;
    return gpu->ecc_supported ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
}

nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned int *current, unsigned int *pending)
{
    DEVICE(nvmlDeviceGetMigMode);
    *current = *pending = gpu->mig_mode;
    return gpu->mig_supported ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
}

nvmlReturn_t nvmlDeviceIsMigDeviceHandle(nvmlDevice_t device, unsigned int *is_mig)
{
    DEVICE(nvmlDeviceIsMigDeviceHandle);
    *is_mig = 0;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPcieThroughput(nvmlDevice_t device, nvmlPcieUtilCounter_t counter, unsigned int *value)
{
    DEVICE(nvmlDeviceGetPcieThroughput);
    *value = counter == NVML_PCIE_UTIL_TX_BYTES ? 1000 : 2000;
    return NVML_SUCCESS;
}

static uint64_t *counter_of(struct fake_gpu *gpu, unsigned int field)
{
    switch (field) {
    case NVML_FI_DEV_ECC_SBE_VOL_TOTAL:
        return gpu->ecc_supported ? &gpu->ecc_corrected : NULL;
    case NVML_FI_DEV_ECC_DBE_VOL_TOTAL:
        return gpu->ecc_supported ? &gpu->ecc_uncorrected : NULL;
    case NVML_FI_DEV_PCIE_COUNT_TX_BYTES:
        return gpu->pcie_counters_supported ? &gpu->pcie_transmit_bytes : NULL;
    case NVML_FI_DEV_PCIE_COUNT_RX_BYTES:
        return gpu->pcie_counters_supported ? &gpu->pcie_receive_bytes : NULL;
    default:
        return NULL;
    }
}

nvmlReturn_t nvmlDeviceGetFieldValues(nvmlDevice_t device, int count, nvmlFieldValue_t *values)
{
    DEVICE(nvmlDeviceGetFieldValues);
    for (int i = 0; i < count; i++) {
        uint64_t *counter = counter_of(gpu, values[i].fieldId);
        values[i].nvmlReturn = counter ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
        values[i].valueType = NVML_VALUE_TYPE_UNSIGNED_LONG_LONG;
        values[i].value.ullVal = counter ? *counter : 0;
    }
    return NVML_SUCCESS;
}
