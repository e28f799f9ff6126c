"""Small C programs that cause a known number of events."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Runs a program (/bin/true) so many times, after a byte has come on standard
# input; with -1, until it is killed.
SPAWN = """
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const char *program = argc > 2 ? argv[2] : "/bin/true";
	char byte;

	if (read(0, &byte, 1) < 0)
		return 1;
	for (int i = 0; i != atoi(argv[1]); i++) {
		int status;
		pid_t child = vfork();

		if (child == 0) {
			execl(program, program, NULL);
			_exit(127);
		}
		if (waitpid(child, &status, 0) != child || status)
			return 1;
	}
	return 0;
}
"""

# A process with something for every tool: it opens a directory and makes one.
# Linked statically, so that it does nothing else.
STEP = """
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void)
{
	char name[32];

	close(open("/", O_RDONLY));
	snprintf(name, sizeof(name), "%d", getpid());
	return mkdir(name, 0700) || rmdir(name);
}
"""

# Says when it is there and waits for its end; with an argument, it allocates
# until then.
TARGET = """
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (write(1, ".", 1) < 0)
		return 1;
	while (argc == 1)
		pause();
	for (;;) {
		void *volatile pointer = malloc(1);

		free(pointer);
	}
}
"""

# The first thread ends long before the last one, which ends the process with 5.
LEADERLESS = """
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static void *last(void *unused)
{
	usleep(100000);
	exit(5);
}

int main(void)
{
	pthread_t thread;

	for (int i = 0; i < 3; i++)
		if (pthread_create(&thread, NULL, last, NULL))
			return 1;
	pthread_exit(NULL);
}
"""

# Four threads come and go; then the process ends.
THREADS = """
#include <pthread.h>

static void *nothing(void *unused)
{
	return unused;
}

int main(void)
{
	pthread_t thread;

	for (int i = 0; i < 4; i++)
		if (pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL))
			return 1;
	return 0;
}
"""


def compiled(source: str, path: Path, *options: str) -> Path:
    """Compile a program and return its path."""
    flags = ["-O1", "-pthread", *options, "-xc", "-", "-o", str(path)]
    subprocess.run(["gcc", *flags], input=source, text=True, check=True)
    return path
