/* Cause something for every tool: open a directory, and make one in the current
 * directory. Linked statically, it does nothing else.
 */
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
