/* A process with the command line of another: whatever its arguments are, it obeys its standard input.
   "start ARG..." starts a child with these arguments, "run PROGRAM ARG..." one that is another program,
   "stop" ends the last one; each is answered by its PID. Before all that it says its own: it is up. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* The input of a program that is run: it ends with this process, and nothing ever comes. */
static int never[2];

static void become(const char *program, char **arguments, int waits) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(STDOUT_FILENO);
    if (waits) {
        close(STDIN_FILENO);
        setenv("ACTOR_WAITS", "1", 1);
    } else {
        dup2(never[0], STDIN_FILENO);
        dup2(STDERR_FILENO, STDOUT_FILENO);
    }
    execv(program, arguments);
    _exit(127);
}

static pid_t start(const char *self, char *words) {
    char *arguments[64] = {0};
    int count = 0;
    for (char *word = strtok(words, " "); word && count < 63; word = strtok(NULL, " "))
        arguments[count++] = word;
    pid_t child = fork();
    if (child == 0) {
        if (self)
            become(self, arguments, 1);
        become(arguments[0], arguments + 1, 0);
    }
    return child;
}

int main(void) {
    char line[4096], self[4096];
    pid_t child = 0;
    if (getenv("ACTOR_WAITS"))
        pause();
    if (pipe(never))
        return 1;
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    self[length > 0 ? length : 0] = 0;
    printf("%d\n", (int)getpid());
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        if (!strncmp(line, "start ", 6))
            child = start(self, line + 6);
        else if (!strncmp(line, "run ", 4))
            child = start(NULL, line + 4);
        else if (child > 0) {
            kill(child, SIGKILL);
            waitpid(child, NULL, 0);
        }
        printf("%d\n", (int)child);
        fflush(stdout);
    }
    return 0;
}
