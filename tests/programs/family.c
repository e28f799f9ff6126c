/* A process and what comes from it: family DIRECTORY GENERATIONS [wait]
 *
 * Each of them creates a file PID.open and a directory PID.dir in DIRECTORY, fails to execute
 * PID.exec, and then starts the next one; the last one executes /bin/true. With "wait", it
 * begins when it is told to.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void be_one(const char *directory, int generations)
{
	char path[4096];
	pid_t child;

	snprintf(path, sizeof(path), "%s/%d.open", directory, getpid());
	if (open(path, O_CREAT | O_WRONLY, 0600) < 0)
		exit(2);
	snprintf(path, sizeof(path), "%s/%d.dir", directory, getpid());
	if (mkdir(path, 0700))
		exit(3);
	snprintf(path, sizeof(path), "%s/%d.exec", directory, getpid());
	execl(path, path, NULL);
	if (generations == 1) {
		execl("/bin/true", "true", NULL);
		exit(4);
	}
	child = fork();
	if (child < 0)
		exit(5);
	if (!child) {
		be_one(directory, generations - 1);
	}
	waitpid(child, NULL, 0);
	exit(0);
}

int main(int argc, char **argv)
{
	char go;

	if (argc > 3 && (write(1, "r", 1) != 1 || read(0, &go, 1) != 1))
		return 1;
	be_one(argv[1], atoi(argv[2]));
}
