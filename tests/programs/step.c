/* Cause something for every tool: open a directory, make one in the current
 * directory, try to remove a file that is not there, and send itself signal 0.
 * Linked statically, it does nothing else.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void)
{
	char name[32];

	close(open("/", O_RDONLY));
	kill(getpid(), 0);
	snprintf(name, sizeof(name), "%d", getpid());
	unlink(name);
	return mkdir(name, 0700) || rmdir(name);
}
