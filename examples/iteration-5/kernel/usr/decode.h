#ifndef _USR_DECODE_H
#define _USR_DECODE_H

int decode(const char *row, const char *path, const char *fixture, const char *output);

#endif
