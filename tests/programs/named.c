/* A process called "outer-process" whose thread "inner-thread" does all the work: it
 * opens a file, makes a directory and fails to execute a program, all in the current
 * directory.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

static void *work(void *unused)
{
	prctl(PR_SET_NAME, "inner-thread");
	close(open("by-a-thread", O_RDONLY | O_CREAT, 0600));
	mkdir("by-a-thread-too", 0700);
	execl("./not-there", "not-there", NULL);
	return unused;
}

int main(void)
{
	pthread_t thread;

	prctl(PR_SET_NAME, "outer-process");
	return pthread_create(&thread, NULL, work, NULL) || pthread_join(thread, NULL);
}
