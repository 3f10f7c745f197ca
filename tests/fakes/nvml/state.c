/* The mapped state, initialisation, and the gate that every call passes. */
#include "fake.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fake_state *mapped;
static char mapped_path[4096];
static uint32_t references;
static uint32_t generation;

struct fake_state *fake_state(void) { return mapped; }

static struct fake_state *map_file(const char *path)
{
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0)
        return NULL;
    void *memory = mmap(NULL, sizeof(struct fake_state), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    return memory == MAP_FAILED ? NULL : memory;
}

/* Maps the file named in the environment; another name is another driver, to which nobody is connected yet.
   An older mapping stays, because a thread may hang in it. */
static void map_state(void)
{
    const char *path = getenv("FAKE_NVML_STATE");
    if (path && mapped && strcmp(path, mapped_path) == 0)
        return;
    mapped = path ? map_file(path) : NULL;
    snprintf(mapped_path, sizeof mapped_path, "%s", path ? path : "");
    references = 0;
}

static void pause_microseconds(uint32_t microseconds)
{
    struct timespec pause = {microseconds / 1000000, (long)(microseconds % 1000000) * 1000};
    nanosleep(&pause, NULL);
}

static int hangs(struct fake_function *function, unsigned int gpu)
{
    volatile uint8_t *hang = function->hang;
    return hang[FAKE_ALL_GPUS] || hang[gpu];
}

static nvmlReturn_t obey(struct fake_state *state, enum fake_number number, unsigned int gpu)
{
    struct fake_function *function = &state->functions[number];
    __atomic_add_fetch(&function->calls, 1, __ATOMIC_SEQ_CST);
    if (function->delay_microseconds)
        pause_microseconds(function->delay_microseconds);
    if (hangs(function, gpu)) {
        __atomic_add_fetch(&state->blocked_threads, 1, __ATOMIC_SEQ_CST);
        while (hangs(function, gpu))
            pause_microseconds(1000);
        __atomic_sub_fetch(&state->blocked_threads, 1, __ATOMIC_SEQ_CST);
    }
    int32_t error = function->error[gpu] ? function->error[gpu] : function->error[FAKE_ALL_GPUS];
    return (nvmlReturn_t)error;
}

static int initialised(struct fake_state *state)
{
    return state && references && state->driver_loaded && state->driver_generation == generation;
}

nvmlReturn_t fake_enter(enum fake_number number, unsigned int gpu)
{
    struct fake_state *state = mapped;
    if (!state)
        return NVML_ERROR_UNINITIALIZED;
    nvmlReturn_t error = obey(state, number, gpu);
    if (error != NVML_SUCCESS)
        return error;
    return initialised(state) ? NVML_SUCCESS : NVML_ERROR_UNINITIALIZED;
}

nvmlReturn_t fake_enter_device(enum fake_number number, nvmlDevice_t device, struct fake_gpu **gpu)
{
    unsigned int slot = fake_slot(device);
    nvmlReturn_t error = fake_enter(number, slot);
    if (error != NVML_SUCCESS)
        return error;
    if (slot == FAKE_ALL_GPUS)
        return NVML_ERROR_INVALID_ARGUMENT;
    *gpu = &mapped->gpus[slot];
    return (*gpu)->lost || slot >= mapped->gpu_count ? NVML_ERROR_GPU_IS_LOST : NVML_SUCCESS;
}

int fake_unsupported(enum fake_number number);
int fake_unsupported(enum fake_number number)
{
    nvmlReturn_t error = fake_enter(number, FAKE_ALL_GPUS);
    return error == NVML_SUCCESS ? NVML_ERROR_NOT_SUPPORTED : error;
}

nvmlReturn_t fake_handle(unsigned int slot, nvmlDevice_t *device)
{
    *device = (nvmlDevice_t)(uintptr_t)(((uint64_t)generation << 16) | ((slot + 1) << 8) | 1);
    return mapped->gpus[slot].lost ? NVML_ERROR_GPU_IS_LOST : NVML_SUCCESS;
}

unsigned int fake_slot(nvmlDevice_t device)
{
    uint64_t bits = (uint64_t)(uintptr_t)device;
    unsigned int slot = (unsigned int)((bits >> 8) & 0xff) - 1;
    int known = (bits & 0xff) == 1 && (uint32_t)(bits >> 16) == generation && slot < FAKE_MAX_GPUS;
    return known ? slot : FAKE_ALL_GPUS;
}

nvmlReturn_t fake_copy(const char *text, char *buffer, unsigned int length)
{
    if (strlen(text) >= length)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    strcpy(buffer, text);
    return NVML_SUCCESS;
}

static nvmlReturn_t start(enum fake_number number)
{
    map_state();
    if (!mapped)
        return NVML_ERROR_DRIVER_NOT_LOADED;
    nvmlReturn_t error = obey(mapped, number, FAKE_ALL_GPUS);
    if (error != NVML_SUCCESS)
        return error;
    if (!mapped->driver_loaded)
        return NVML_ERROR_DRIVER_NOT_LOADED;
    if (strcmp(mapped->kernel_version, FAKE_LIBRARY_VERSION) != 0)
        return NVML_ERROR_LIB_RM_VERSION_MISMATCH;
    references = generation == mapped->driver_generation ? references + 1 : 1;
    generation = mapped->driver_generation;
    return NVML_SUCCESS;
}

static nvmlReturn_t start_locked(enum fake_number number)
{
    pthread_mutex_lock(&lock);
    nvmlReturn_t result = start(number);
    pthread_mutex_unlock(&lock);
    return result;
}

nvmlReturn_t nvmlInit_v2(void) { return start_locked(FAKE_nvmlInit_v2); }

nvmlReturn_t nvmlInit(void) { return start_locked(FAKE_nvmlInit); }

nvmlReturn_t nvmlInitWithFlags(unsigned int flags)
{
    (void)flags;
    return start_locked(FAKE_nvmlInitWithFlags);
}

nvmlReturn_t nvmlShutdown(void)
{
    SYSTEM(nvmlShutdown);
    pthread_mutex_lock(&lock);
    references -= references > 0;
    pthread_mutex_unlock(&lock);
    return NVML_SUCCESS;
}
