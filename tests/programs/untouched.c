/* Open a file whose name is in a page that nothing has read yet: that of another
 * file, which holds the name: untouched FILE. It says that it is there, and begins
 * when a byte comes.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int fd = open(argv[1], O_RDONLY);
	char *name = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	char byte;

	if (name == MAP_FAILED || write(1, "r", 1) < 0 || read(0, &byte, 1) < 0)
		return 1;
	return open(name, O_RDONLY) < 0;
}
