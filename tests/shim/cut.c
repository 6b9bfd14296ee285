/* Pulls the plug of a mounted ext4 file system: `cut MOUNT FLAGS`.
 *
 * From here on every write to it fails, and what was not on disk never gets there. Flags 2 drops
 * the journal's unwritten part as well; 1 writes the journal first, so metadata is kept and data
 * that was not synced is not: a file can be long enough and full of zeros.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

/* EXT4_IOC_SHUTDOWN, which no header of user space names. */
#define SHUTDOWN _IOR('X', 125, uint32_t)

int main(int count, char **words)
{
    if (count != 3)
        return 2;
    uint32_t flags = strtoul(words[2], NULL, 10);
    int fd = open(words[1], O_RDONLY | O_DIRECTORY);
    if (fd < 0 || ioctl(fd, SHUTDOWN, &flags)) {
        perror(words[1]);
        return 1;
    }
    return 0;
}
